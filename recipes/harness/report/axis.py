"""An axis: from a figure to its place in a drawing, and where ticks stand."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic axis.

    Args:
        low: Float. The figure at `start`.
        high: Float above `low`. The figure at `end`.
        start: Float. A place, such as a percentage of the width.
        end: Float. A place; below `start` where the axis points upwards.
        log: Boolean. Whether equal steps are equal ratios; `low` is positive
            then.

    Raises:
        ValueError: If there is no such axis.

    Example:

    >>> Axis(0, 10, start=0, end=100).place(2.5)
    25.0
    >>> Axis(0.01, 1, start=0, end=100, log=True).place(0.1)
    50.0
    """

    low: float
    high: float
    start: float = 0.0
    end: float = 100.0
    log: bool = False

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf or (
            self.log and self.low <= 0
        ):
            raise ValueError(
                "`low` must be below `high`, both finite, and positive on a "
                f"logarithmic axis. Received: low={self.low}, "
                f"high={self.high}, log={self.log}"
            )

    def place(self, value: float) -> float:
        """Returns where a figure stands, outside of the ends too."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = map(math.log10, (value, low, high))
        share = (value - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Returns round figures on the axis, in steps of its `count`th part.

        >>> Axis(-0.012, 0.041).ticks()
        [0.0, 0.02, 0.04]
        >>> Axis(0.002, 30, log=True).ticks()
        [0.01, 0.1, 1.0, 10.0]
        """
        if self.log:
            return self._log_ticks(count)
        step = _round_step((self.high - self.low) / count)
        slack = 1e-9 * (self.high - self.low)
        first = math.ceil((self.low - slack) / step)
        last = math.floor((self.high + slack) / step)
        digits = max(0, 2 - math.floor(math.log10(step)))
        return [round(i * step, digits) + 0.0 for i in range(first, last + 1)]

    def _log_ticks(self, count: int) -> list[float]:
        first = math.floor(math.log10(self.low))
        last = math.ceil(math.log10(self.high))
        for mantissas in ((1,), (1, 3), (1, 2, 5)):
            found = [
                float(f"{mantissa}e{power}")
                for power in range(first, last + 1)
                for mantissa in mantissas
            ]
            inside = [t for t in found if self.low <= t <= self.high]
            if len(inside) >= 3:
                break
        return inside[:: math.ceil(len(inside) / (count + 1))] if inside else []


def spanning(
    values: Iterable[float],
    start: float = 0.0,
    end: float = 100.0,
    log: bool = False,
    margin: float = 0.05,
) -> Axis:
    """Returns an axis that holds all finite values, with a margin.

    Args:
        values: Figures; those that are not finite are passed over, and on a
            logarithmic axis those that are not positive.
        start: As of `Axis`.
        end: As of `Axis`.
        log: As of `Axis`; linear where no figure is positive.
        margin: Float. The share of the span that is added on both sides.

    >>> spanning([0.0, 10.0], margin=0.1)
    Axis(low=-1.0, high=11.0, start=0.0, end=100.0, log=False)
    """
    finite = [v for v in values if math.isfinite(v)]
    positive = [v for v in finite if v > 0]
    if log and positive:
        low, high = math.log10(min(positive)), math.log10(max(positive))
        pad = margin * (high - low) or 0.5
        return Axis(10 ** (low - pad), 10 ** (high + pad), start, end, log=True)
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    pad = margin * (high - low) or max(abs(low), 1.0) / 2
    return Axis(low - pad, high + pad, start, end)


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    for factor in (1, 2, 2.5, 5):
        if factor * power >= least * (1 - 1e-9):
            return factor * power
    return 10 * power
