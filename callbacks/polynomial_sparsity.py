"""How many weights a gradual pruning has left out after how long."""

from numbers import Real
from typing import Any

from .check_count import check_count


class PolynomialSparsity:
    """A share of zeros that rises fast at first, and slowly to its end.

    Use it as the `schedule` of `MagnitudePruning`. While a net has many weights
    to spare, many are taken at a time, and few when few are left. At
    `begin`, `begin + frequency`, ... up to `end`, the share of zeros is

    `final + (initial - final) * (1 - (count - begin) / (end - begin))**power`

    and in between it stays.

    Args:
        final: Float in `(0, 1)`. The share of zeros at the end.
        begin: Integer, 0 or more. The epoch or update of the first pruning.
        end: Integer, more than `begin`. From here on the share is `final`.
            Let training go on for a while after it.
        frequency: Integer, 1 or more. Prune every so many epochs or updates.
            The paper finds 100 to 1000 updates to do equally well. Defaults to
            `1`.
        initial: Float in `[0, final]`. The share of zeros at the first
            pruning. Defaults to `0.0`.
        power: Positive number. 1 is a straight line. Defaults to `3`, the
            paper's.

    Raises:
        ValueError: If an argument is none of those.

    Example:

    >>> schedule = PolynomialSparsity(0.8, begin=2, end=4)
    >>> [round(schedule(epoch), 3) for epoch in range(6)]
    [0.0, 0.0, 0.0, 0.7, 0.8, 0.8]

    Reference:

    - Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of
      pruning for model compression",
      [2017](https://arxiv.org/abs/1710.01878), equation 1.
    """

    def __init__(
        self,
        final: float,
        begin: int,
        end: int,
        frequency: int = 1,
        initial: float = 0.0,
        power: float = 3,
    ):
        if not (_is_number(final) and 0 < final < 1):
            raise ValueError(
                "`final` must be a share of zeros in (0, 1). "
                f"Received: final={final}"
            )
        check_count("begin", begin)
        check_count("end", end, at_least=begin + 1)
        check_count("frequency", frequency, at_least=1)
        if not (_is_number(initial) and 0 <= initial <= final):
            raise ValueError(
                "`initial` must be a share of zeros in [0, final]. "
                f"Received: initial={initial}, final={final}"
            )
        if not (_is_number(power) and power > 0):
            raise ValueError(
                f"`power` must be positive. Received: power={power}"
            )
        self.final = final
        self.begin = begin
        self.end = end
        self.frequency = frequency
        self.initial = initial
        self.power = power

    def __call__(self, count: int) -> float:
        """Returns the share of zeros.

        Args:
            count: Integer, from 0. The epoch or update.

        Returns:
            Float.
        """
        if count < self.begin:
            return 0.0
        if count >= self.end:
            return float(self.final)
        passed = count - self.begin
        passed -= passed % self.frequency
        left = 1 - passed / (self.end - self.begin)
        return self.final + (self.initial - self.final) * left**self.power


def _is_number(value: Any) -> bool:
    return isinstance(value, Real)
