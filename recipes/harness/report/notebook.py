"""A result as a notebook shows it: table, words and plots."""

from collections.abc import Mapping, Sequence
from typing import Any

from .claim_view import claim_view
from .dossier import mean_and_sd
from .quantity import quantity
from .templates import fill, part

Row = Mapping[str, Any]


def notebook(
    recipe: str,
    summary: str,
    claims: Sequence[Row],
    arms: Sequence[Row],
    failed: Sequence[Row],
) -> str:
    """Returns HTML that stands alone in a cell's output, light or dark.

    Its styles reach nothing else in the notebook, and its colours are made
    of the text's own.

    Args:
        recipe: String. The recipe's name.
        summary: String. The first line of its docstring.
        claims: As `Comparison.to_json` gives them.
        arms: As `Result.arms` gives them.
        failed: Rows of failed cells.
    """
    return fill(
        "notebook.html",
        style=part("notebook.css") + part("plots.css"),
        recipe=recipe,
        summary=summary,
        claims=[claim_view(c, place) for place, c in enumerate(claims, 1)],
        arms=[_arm(arm) for arm in arms],
        conditions=len({arm["data"] for arm in arms}) > 1,
        figure=arms[0]["metric"] if arms else None,
        failed=[
            (row["data"], row["arm"], row["seed"], row.get("error", ""))
            for row in failed
        ],
    )


def _arm(arm: Row) -> dict[str, Any]:
    told = quantity(arm["metric"] or "")
    cpu, _ = mean_and_sd([arm["cpu_seconds"]])
    return {
        "arm": arm["arm"],
        "data": arm["data"],
        "mean": told.level(arm["mean"]),
        "sd": told.level(arm["sd"]),
        "seeds": arm["seeds"],
        "failed": arm["failed"],
        "cpu": quantity("seconds").level(cpu),
    }
