"""The searches of a recipe as its page shows them."""

from typing import Any

from .dossier import Dossier, objective
from .progress_plot import progress_plot
from .quantity import MISSING, quantity
from .search_plot import search_plot


def search_view(dossier: Dossier) -> dict[str, Any] | None:
    if not dossier.searches:
        return None
    metric = objective(dossier.verdict)
    smallest = next(
        (s for c in dossier.claims if (s := c.get("smallest_effect"))), None
    )
    told = quantity(metric.label, smallest)
    groups: dict[str, list[dict[str, Any]]] = {}
    for search in dossier.searches:
        best = search.best
        groups.setdefault(search.data, []).append(
            {
                "arm": search.arm,
                "trials": len(search.trials),
                "runs": sum(t.runs for t in search.trials),
                "best": list(best.settings.items()) if best else [],
                "score": told.level(best.score if best else None),
                "rerun": told.level(best.rerun if best else None),
                "reruns": best.reruns if best else 0,
                "gap": told.amount(best.rerun - best.score)
                if best and best.reruns
                else MISSING,
                "progress": progress_plot(search, told),
                "plots": [
                    (name, plot)
                    for name in search.names
                    if (plot := search_plot(search, name, told)) is not None
                ],
            }
        )
    return {
        "figure": f"{told.noun} {told.when}".strip(),
        "groups": groups,
        "warnings": [w for s in dossier.searches for w in s.warnings],
        "even": len({len(s.trials) for s in dossier.searches}) == 1,
        "stale": dossier.stale_searches,
    }
