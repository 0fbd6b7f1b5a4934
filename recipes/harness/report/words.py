"""A verdict in words that need no statistics.

Each sentence is made from the figures of a claim as a verdict row holds
them; nothing is judged anew.
"""

import math
from collections.abc import Mapping
from typing import Any

from ..terminal.styles import number
from .quantity import MISSING, Quantity, quantity

Claim = Mapping[str, Any]


def verdict_in_words(claim: Claim) -> str:
    """Returns what came out, in two sentences or so.

    Args:
        claim: One claim of a verdict row.

    Example:

    >>> verdict_in_words({"verdict": None, "done": 7, "seeds": 10})
    'No verdict yet: 7 of 10 seeds have finished.'
    """
    word = claim.get("verdict")
    if word is None:
        done, seeds = claim.get("done", 0), claim.get("seeds", 0)
        return (
            f"No verdict yet: {done} of {_counted(seeds, 'seed')} "
            f"{'has' if done == 1 else 'have'} finished."
        )
    if word == "failed":
        return f"Nothing can be said. {claim.get('reason') or ''}".strip()
    if claim.get("at_most") is not None:
        return _tolerance(claim)
    told = quantity(claim["metric"], claim["smallest_effect"])
    if word == "underpowered" and claim["n"] < claim.get("n_min", 0):
        return (
            f"Only {_counted(claim['n'], 'paired run')}: fewer than "
            f"{claim['n_min']} cannot decide anything."
        )
    return f"{_outcome(claim, told)} {_meaning(claim, told)}"


def cost_in_words(claim: Claim) -> str | None:
    """Returns what the treatment costs beside the baseline.

    Example:

    >>> cost_in_words({"cost": {"updates": 1.0, "cpu_seconds": 1.2887}})
    '1.29 times the CPU time, with as many updates'
    """
    ratios = dict(claim.get("cost") or {})
    if ratios.get("evaluations") == ratios.get("updates"):
        ratios.pop("evaluations", None)
    names = {
        "cpu_seconds": "the CPU time",
        "updates": "the updates",
        "evaluations": "the gradient evaluations",
    }
    told = []
    for kind, name in names.items():
        ratio = ratios.get(kind)
        if ratio is None:
            continue
        if abs(ratio - 1) < 0.005 and kind != "cpu_seconds":
            told.append(f"as many {name.removeprefix('the ')}")
        else:
            told.append(f"{ratio:.2f} times {name}")
    if not told:
        return None
    first, *others = told
    return f"{first}, with {' and '.join(others)}" if others else first


def caveats(claim: Claim) -> list[str]:
    """Returns sentences on runs that missed their mark, and on new data."""
    told = quantity(claim["metric"], claim.get("smallest_effect"))
    sentences = []
    for side in claim.get("arms") or ():
        n = len(side["values"])
        if side.get("missed"):
            sentences.append(
                f"{side['missed']} of {n} runs of {side['arm']} never got "
                "there; each counts as its whole budget."
            )
        if side.get("collapsed"):
            sentences.append(
                f"{side['collapsed']} of {n} runs of {side['arm']} learned "
                "nothing."
            )
    if claim.get("new_data"):
        low, high = claim["new_data"]
        sentences.append(
            "The range is about this data and budget, over splits and seeds. "
            "For new data from the same source it would be "
            f"{told.figure(low)} to {told.amount(high)}."
        )
    return sentences


def _outcome(claim: Claim, told: Quantity) -> str:
    treatment, baseline = (side["arm"] for side in claim["arms"])
    n, mean = claim["n"], claim["mean"]
    runs = f"In {_counted(n, 'paired run')}"
    if told.figure(mean) == "0":
        return (
            f"{runs}, {treatment} and {baseline} had the same {told.noun} on "
            f"average (plausible range of the difference: {_range(claim, told)}"
            ")."
        )
    verb = "lowered" if (mean > 0) == (claim["better"] == "lower") else "raised"
    side = "worse" if mean < 0 else "better"
    plausible = _range(claim, told)
    if claim["low"] is not None and claim["low"] < 0 < claim["high"]:
        plausible = (
            f"from {told.figure(-claim['low'])} worse to "
            f"{told.figure(claim['high'])} better"
        )
    elif side == "worse":
        plausible = (
            f"{told.figure(-claim['high'])} to {told.figure(-claim['low'])}"
        )
    return (
        f"{runs}, {treatment} {verb} the {told.noun} by "
        f"{told.amount(abs(mean))} on average against {baseline} (plausible "
        f"range: {plausible})."
    )


def _meaning(claim: Claim, told: Quantity) -> str:
    smallest = told.matters
    match claim["verdict"]:
        case "reproduced":
            return f"That is at least the {smallest} that would matter."
        case "same direction":
            return (
                "The direction is the claimed one, but the gain is smaller "
                f"than the {smallest} that would matter."
            )
        case "opposite":
            return "That is the opposite of what is claimed."
        case "no effect":
            return (
                "Whatever the difference truly is, it is smaller than the "
                f"{smallest} that would matter."
            )
    likely, sure = claim.get("seeds_likely"), claim.get("seeds_sure")
    sentence = (
        "These runs cannot tell: the range holds no difference at all, and "
        f"one as large as the {smallest} that would matter."
    )
    if likely and sure:
        sentence += f" {likely:,} seeds would likely decide, {sure:,} surely."
    return sentence


def _tolerance(claim: Claim) -> str:
    values = [v for side in claim["arms"] for v in side["values"]]
    above = sum(not v <= claim["at_most"] for v in values)
    told = quantity(claim["metric"])
    limit = told.level(claim["at_most"])
    largest = told.level(max(values, default=math.nan))
    n = len(values)
    if claim["verdict"] == "reproduced":
        runs = "the only run" if n == 1 else f"all {n} runs"
        return (
            f"In {runs}, the figure “{told.noun}” stayed within the "
            f"{limit} that the claim allows; the largest was {largest}."
        )
    return (
        f"In {above} of {_counted(n, 'run')}, the figure “{told.noun}” "
        f"exceeded the {limit} that the claim allows; the largest was "
        f"{largest}."
    )


def _range(claim: Claim, told: Quantity) -> str:
    if claim["low"] is None:
        return "unknown"
    return f"{told.figure(claim['low'])} to {told.figure(claim['high'])}"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def seconds(value: float | None) -> str:
    """Returns a time as somebody would say it.

    >>> seconds(3.42), seconds(406.0), seconds(9000.0)
    ('3.4 s', '6.8 min', '2.5 h')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    for unit, size in (("h", 3600), ("min", 60)):
        if value >= 2 * size:
            return f"{number(round(value / size, 1))} {unit}"
    return f"{number(round(value, 1) if value >= 1 else value)} s"
