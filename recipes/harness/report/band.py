"""From the curves of several seeds to a line and a band around it."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Point(NamedTuple):
    """The seeds at one epoch.

    Args:
        middle: The median over the seeds that have a value.
        low: Their lower quartile.
        high: Their upper quartile.
        seeds: How many they are.
    """

    middle: float
    low: float
    high: float
    seeds: int


def band(curves: Sequence[Sequence[float | None]]) -> list[Point | None]:
    """Returns a point for each epoch of the longest curve.

    An epoch is None, a gap of the line, where fewer than half of the seeds
    have a finite value there: the rest of them stopped, or diverged, and a
    line through the others would tell of luck.

    Args:
        curves: One curve a seed, of any lengths; None is no number.

    Example:

    >>> band([[4.0, 2.0], [8.0, None], [6.0]])
    [Point(middle=6.0, low=5.0, high=7.0, seeds=3), None]
    """
    points: list[Point | None] = []
    for epoch in range(max(map(len, curves), default=0)):
        values = [
            value
            for curve in curves
            if epoch < len(curve)
            and (value := curve[epoch]) is not None
            and math.isfinite(value)
        ]
        if 2 * len(values) < len(curves):
            points.append(None)
            continue
        low = middle = high = values[0]
        if len(values) > 1:
            low, middle, high = statistics.quantiles(
                values, n=4, method="inclusive"
            )
        points.append(Point(middle, low, high, len(values)))
    return points
