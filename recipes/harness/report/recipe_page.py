"""The page of one recipe."""

from collections.abc import Mapping
from typing import Any

from .arms_view import arms_view
from .claim_view import claim_view
from .commands import commands
from .curves_view import curves_view
from .dossier import Dossier
from .environment_view import environment_view
from .failures_view import failures_view
from .quantity import MISSING
from .search_view import search_view
from .templates import digest_of, fill, part
from .words import seconds

Row = Mapping[str, Any]


def recipe_page(dossier: Dossier) -> str:
    """Returns the page of a recipe as HTML, with all that it needs in it."""
    script = part("recipe.js")
    claims = [claim_view(c, place) for place, c in enumerate(dossier.claims, 1)]
    return fill(
        "recipe.html",
        style=part("style.css") + part("plots.css"),
        script=script,
        script_digest=digest_of(script),
        page=dossier,
        headline=claims[0] if claims else None,
        waiting=_waiting(dossier),
        claims=claims,
        curves=[curves_view(dossier, c) for c in dossier.conditions]
        if any(row.get("curves") for row in dossier.cells)
        else [],
        arms=[arms_view(dossier, c) for c in dossier.conditions],
        searches=search_view(dossier),
        failures=failures_view(dossier.failed),
        environment=environment_view(dossier),
        commands=commands(dossier),
        history=_history(dossier),
        spent=seconds(
            dossier.verdict.get("cpu_seconds") if dossier.verdict else None
        ),
    )


def _waiting(dossier: Dossier) -> str | None:
    """Returns what is said where no verdict row is."""
    if dossier.verdict is not None:
        return None
    if not dossier.cells:
        return "Nothing has been run yet."
    done = sum(row["status"] == "done" for row in dossier.cells)
    seeds = len({row["seed"] for row in dossier.cells})
    scale = dossier.cells[0]["scale"]
    reason = (
        "Runs at smoke scale get no verdict."
        if scale == "smoke"
        else "A verdict is given when all seeds are in."
    )
    some = "1 run" if done == 1 else f"{done} runs"
    return (
        f"No verdict yet: {some} finished, over "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}. {reason}"
    )


def _history(dossier: Dossier) -> list[dict[str, Any]]:
    """Returns all verdicts that were given, the newest first."""
    return [
        {
            "time": row.get("time", ""),
            "scale": row["scale"],
            "data": ", ".join(row.get("data") or ()),
            "seeds": row["n"],
            "look": row["look"] + 1,
            "words": ", ".join(
                c.get("verdict") or MISSING for c in row["claims"]
            ),
            "shown": row is dossier.verdict,
            "code": row.get("code", ""),
            "own": row.get("as_declared", True),
        }
        for row in reversed(dossier.verdicts)
    ]
