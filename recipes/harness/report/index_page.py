"""The page that leads to all others, with a filter."""

from collections.abc import Iterable, Sequence
from typing import Any

from .claim_view import claim_view
from .dossier import Dossier
from .search_dossier import SearchDossier
from .search_page import summary
from .templates import digest_of, fill, part
from .words import seconds

# In the order of the filter, as docs/verdicts.md says it, in fewer words.
MEANINGS = {
    "reproduced": "A difference in the claimed direction, and large enough to "
    "matter.",
    "same direction": "A difference in the claimed direction, too small to "
    "matter.",
    "no effect": "Whatever difference there is, it is too small to matter.",
    "opposite": "A difference against the claim.",
    "underpowered": "Too few runs to tell.",
    "failed": "Runs without a figure, or that the technique did not touch.",
}
_NONE = "no verdict yet"
# A word of direction is false in at most 2.5 % of the claims without effect.
_FALSE = 0.025


def index_page(
    dossiers: Sequence[Dossier], searches: Sequence[SearchDossier] = ()
) -> str:
    """Returns the index as HTML, with all that it needs in it.

    Args:
        dossiers: Of the recipes.
        searches: Of models.
    """
    script = part("index.js") if dossiers else ""
    recipes = [_recipe(dossier) for dossier in dossiers]
    words = {line["word"] or _NONE for r in recipes for line in r["lines"]}
    times = [d.verdict.get("time", "") for d in dossiers if d.verdict]
    return fill(
        "index.html",
        style=part("style.css") + part("plots.css"),
        script=script,
        script_digest=digest_of(script),
        recipes=recipes,
        searches=[(dossier, *summary(dossier)) for dossier in searches],
        choices=[
            ("topic", "Topic", sorted({d.source.topic for d in dossiers})),
            (
                "word",
                "Verdict",
                [w for w in (*MEANINGS, _NONE) if w in words],
            ),
        ],
        meanings=list(MEANINGS.items()),
        together=together(dossiers),
        date=max(times, default="")[:10],
    )


def together(dossiers: Iterable[Dossier]) -> str:
    """Returns how many words of all recipes chance alone could explain."""
    words = [
        claim["verdict"]
        for dossier in dossiers
        for claim in dossier.claims
        if claim.get("smallest_effect") is not None
        and claim.get("verdict") not in (None, "failed")
    ]
    for_it = sum(word in ("reproduced", "same direction") for word in words)
    return (
        f"{len(words)} claims of a difference were tested, and {for_it} of "
        "them came out reproduced or in the same direction. If none of the "
        f"techniques did anything, at most {_FALSE * len(words):.1f} would be "
        "expected to."
    )


def _recipe(dossier: Dossier) -> dict[str, Any]:
    lines = [claim_view(c, place) for place, c in enumerate(dossier.claims, 1)]
    if not lines:
        lines = [
            {
                "word": None,
                "statement": dossier.source.claim,
                "on": None,
                "interval": None,
                "gain": "",
            }
        ]
    note = "Nothing is judged yet."
    if dossier.verdict is not None:
        spent = seconds(dossier.verdict.get("cpu_seconds"))
        seeds = dossier.verdict["n"]
        note = (
            f"{seeds} seed{'' if seeds == 1 else 's'}, "
            f"{len(dossier.cells)} runs, {spent} of CPU time"
        )
    return {"page": dossier, "lines": lines, "note": note}
