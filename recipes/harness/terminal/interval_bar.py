"""An interval in one line of text, around zero."""

import math

from ..contract.claim import Exact
from ..verdict.comparison import Comparison

_NARROWEST = 9  # Below it, an end and the mean fall together.


def interval_bar(comparison: Comparison, columns: int = 33) -> str | None:
    """Returns the interval drawn around zero, claimed direction to the right.

    The smallest effect that matters stands as `┊` on both sides.

    Args:
        comparison: What the evidence says of a claim.
        columns: Integer. The columns of the bar without the words at its
            ends; an even number leaves one of them out, since zero stands in
            the middle.

    Returns:
        The line, or None without an interval, or without room for it.
    """
    verdict, claim = comparison.verdict, comparison.claim
    if verdict is None or isinstance(claim, Exact) or columns < _NARROWEST:
        return None
    low, mean, high = verdict.low, verdict.mean, verdict.high
    if low is None or mean is None or high is None:
        return None
    reach = max(-low, high, 1.2 * claim.smallest_effect)
    if not math.isfinite(reach) or reach == 0:
        return None
    middle = (columns - 1) // 2

    def column(x: float) -> int:
        return middle + round(x / reach * middle)

    bar = [" "] * (2 * middle + 1)
    for x in range(column(low), column(high) + 1):
        bar[x] = "━"
    bar[middle] = "┃" if bar[middle] == "━" else "│"
    for x in (column(claim.smallest_effect), column(-claim.smallest_effect)):
        bar[x] = "╏" if bar[x] == "━" else "┊"
    bar[column(mean)] = "●"
    return "worse " + "".join(bar) + " better"
