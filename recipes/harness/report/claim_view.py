"""One claim as its page shows it."""

from collections.abc import Mapping
from typing import Any

from ..terminal.styles import number
from .paired_plot import differences, interval_plot, paired_plot
from .quantity import TIMES, Quantity, quantity
from .tolerance_plot import tolerance_plot
from .words import caveats, cost_in_words, verdict_in_words

Row = Mapping[str, Any]


def claim_view(claim: Row, place: int) -> dict[str, Any]:
    told = quantity(claim["metric"], claim.get("smallest_effect"))
    exact = claim.get("at_most") is not None
    sides = claim.get("arms") or ()
    gains = differences(claim) if not exact else []
    rows = [
        (seed, *(told.level(side["values"][seed]) for side in sides))
        + ((told.figure(gains[seed]),) if gains else ())
        for seed in range(max((len(s["values"]) for s in sides), default=0))
    ]
    return {
        "place": place,
        "id": f"claim-{place}",
        "statement": claim["statement"],
        "on": claim.get("on"),
        "source": claim.get("source"),
        "word": claim.get("verdict"),
        "sentence": verdict_in_words(claim),
        "told": told,
        "measured": f"{told.noun} {told.when}".strip(),
        "exact": exact,
        "plot": tolerance_plot(claim) if exact else paired_plot(claim),
        "facts": _facts(claim, told),
        "cost": cost_in_words(claim),
        "costs": _costs(claim),
        "caveats": caveats(claim),
        "reason": claim.get("reason"),
        "columns": [
            *(side["arm"] for side in sides),
            *(["gain"] if gains else []),
        ],
        "rows": rows,
        "interval": None if exact else interval_plot(claim),
        "gain": _gain(claim, told),
    }


def _gain(claim: Row, told: Quantity) -> str:
    if claim.get("low") is None:
        return ""
    sign = "+" if claim["mean"] > 0 else ""
    return f"{sign}{told.amount(claim['mean'])}"


def _facts(claim: Row, told: Quantity) -> list[tuple[str, str]]:
    """Returns the figures beside a plot, each with its name."""
    facts: list[tuple[str, str]] = []
    if claim.get("at_most") is not None:
        facts.append(("allowed", told.level(claim["at_most"])))
        facts.append(("runs", str(claim.get("n", 0))))
        return facts
    if claim.get("mean") is not None:
        facts.append(("mean gain", told.amount(claim["mean"])))
    if claim.get("low") is not None:
        low, high = told.figure(claim["low"]), told.amount(claim["high"])
        facts.append(("plausible range", f"{low} to {high}"))
    if claim.get("smallest_effect") is not None:
        facts.append(("matters from", told.matters))
    pairs = claim.get("n", claim.get("done"))
    if pairs is not None:
        facts.append(("pairs", str(pairs)))
    if claim.get("sd") is not None:
        facts.append(("spread (sd)", told.amount(claim["sd"])))
    if claim.get("probability_of_improvement") is not None:
        share = claim["probability_of_improvement"]
        facts.append(("better in", f"{share:.0%} of pairs"))
    if claim.get("minimum_detectable") is not None:
        facts.append(("detectable", told.amount(claim["minimum_detectable"])))
    return facts


def _costs(claim: Row) -> list[tuple[str, ...]]:
    """Returns name, treatment, baseline and ratio of each kind of cost."""
    sides = claim.get("arms") or ()
    if len(sides) != 2 or not claim.get("cost"):
        return []
    ratios = dict(claim["cost"])
    if ratios.get("evaluations") == ratios.get("updates"):
        ratios.pop("evaluations", None)
    names = {
        "updates": "updates",
        "evaluations": "gradient evaluations",
        "cpu_seconds": "CPU seconds",
    }
    return [
        (
            name,
            *(number(side["cost"].get(kind)) for side in sides),
            f"{ratios[kind]:.2f} {TIMES}",
        )
        for kind, name in names.items()
        if kind in ratios
    ]
