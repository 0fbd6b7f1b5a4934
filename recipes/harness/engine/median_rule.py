"""Tells which run is worse than half of the finished ones."""

import math
from collections.abc import Sequence

import numpy as np

# With fewer finished runs a median says little.
LEAST_RUNS = 5

# No run is judged in the first part of its epochs.
_GRACE = 0.2


def medians(curves: Sequence[Sequence[float]]) -> list[float]:
    """Returns the median over runs of their running means, epoch by epoch.

    Args:
        curves: A curve for each finished run, of any lengths. An epoch that
            fewer than five runs have reached has no median, nor have those
            after it.

    Example:

    >>> medians([[4, 2], [5, 3], [6, 4], [7, 5], [8, 6]])
    [6.0, 5.0]
    """
    found = []
    for epoch in range(max(map(len, curves), default=0)):
        means = [
            float(np.mean(curve[: epoch + 1]))
            for curve in curves
            if len(curve) > epoch
        ]
        means = [mean for mean in means if math.isfinite(mean)]
        if len(means) < LEAST_RUNS:
            break
        found.append(float(np.median(means)))
    return found


def is_hopeless(
    curve: Sequence[float], medians: Sequence[float], better: str = "min"
) -> bool:
    """Whether a run's best so far is worse than its epoch's median.

    The rule of Google Vizier (D. Golovin et al., "Google Vizier: A Service
    for Black-Box Optimization", KDD 2017), except that the first fifth of
    the epochs is never judged.

    Args:
        curve: The run's watched figures so far, at least one.
        medians: Of finished runs, as `medians` returns them.
        better: `"min"` or `"max"`.

    Example:

    >>> is_hopeless([9.0, 5.5], [6.0, 5.0]), is_hopeless([9.0, 4.5], [6.0, 5.0])
    (True, False)
    """
    epoch = len(curve) - 1
    if epoch >= len(medians) or epoch < _GRACE * len(medians):
        return False
    sign = 1 if better == "min" else -1
    values = [sign * v for v in curve if math.isfinite(v)]
    return not values or min(values) > sign * medians[epoch]
