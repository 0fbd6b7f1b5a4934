"""A curve in one line of text."""

import itertools
import math
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(
    values: Sequence[float], columns: int = 12, steps: int | None = None
) -> str:
    """Returns a curve as blocks, from its own lowest value to its highest.

    Each column stands for the mean of its steps, those without a finite value
    left out; where all are, it is empty.

    Args:
        values: Floats, one a step.
        columns: Integer of 1 or more. The columns of all steps; fewer where
            there are fewer steps.
        steps: Integer. The steps that fill the columns, so that curves of
            different lengths share an axis. The curve's own by default.

    Example:

    >>> sparkline([8, 4, 2, 1, 1, 2, 3, 4]), sparkline([1, 2], steps=4)
    ('█▄▂▁▁▂▃▄', '▁█')
    """
    steps = max(steps or 0, len(values))
    columns = max(1, min(columns, steps))
    edges = [column * steps // columns for column in range(columns + 1)]
    means = [
        _mean(values[start:stop]) for start, stop in itertools.pairwise(edges)
    ]
    finite = [mean for mean in means if math.isfinite(mean)]
    if not finite:
        return ""
    low, span = min(finite), max(finite) - min(finite)

    def block(mean: float) -> str:
        if not math.isfinite(mean):
            return " "
        share = (mean - low) / span if span else 0.0
        return _BLOCKS[min(int(share * len(_BLOCKS)), len(_BLOCKS) - 1)]

    return "".join(map(block, means)).rstrip()


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan
