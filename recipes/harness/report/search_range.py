"""Where a search may look, and when its best lies at an end of that."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The outermost part of a range that counts as its end.
_END = 0.02


@dataclass(frozen=True)
class Range:
    """The ordered values of a hyperparameter.

    Args:
        low: Its first value.
        high: Its last value.
        log: Whether it is sampled by ratios.
        values: All values, where they are counted out.

    Example:

    >>> Range(0.0, 1.0).at_edge(0.99), Range(1, 4, values=(1, 2, 4)).at_edge(2)
    (True, False)
    """

    low: float
    high: float
    log: bool = False
    values: Sequence[float] = ()

    def at_edge(self, value: float) -> bool:
        """Whether a value is at an end, beyond which there may be better."""
        if self.values:
            # Of two values each is at an end, and nothing lies between.
            return len(self.values) > 2 and value in (self.low, self.high)
        low, high = self.low, self.high
        if self.log:
            value, low, high = map(math.log, (value, low, high))
        return min(value - low, high - value) < _END * (high - low)

    def warning(self, name: str, value: float | None, arm: str) -> str | None:
        """Returns a sentence if a best value is at an end, else None.

        Args:
            name: String. The hyperparameter.
            value: Its best value; None where the best has none.
            arm: String. The arm that it is of.
        """
        if value is None or not self.at_edge(value):
            return None
        return (
            f"{arm}: the best {name}, {value:.4g}, lies at an end of its range "
            f"({self.low:.4g} to {self.high:.4g}): widen it"
        )


def range_of(config: Mapping[str, Any]) -> Range | None:
    """Returns a hyperparameter's range; None where its values have no order.

    Args:
        config: Its configuration as KerasTuner gives it, with its `kind`.

    Example:

    >>> range_of({"kind": "Choice", "values": [8, 16, 32], "ordered": True})
    Range(low=8, high=32, log=False, values=(8, 16, 32))
    """
    if config["kind"] == "Choice":
        values = tuple(config["values"])
        if not config.get("ordered"):
            return None
        return Range(values[0], values[-1], values=values)
    if config["kind"] not in ("Float", "Int"):
        return None
    low, high = config["min_value"], config["max_value"]
    if not low < high:
        return None
    if config["kind"] == "Int" and high - low <= (config.get("step") or 1):
        return Range(low, high, values=(low, high))
    return Range(low, high, config.get("sampling") == "log" and low > 0)
