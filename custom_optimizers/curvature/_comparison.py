"""Derivatives by two ways, compared."""

from typing import Any, NamedTuple

from .gradient_report import WeightCheck


class Comparison(NamedTuple):
    """A derivative by automatic differentiation, and by differences.

    Args:
        gradient: Float.
        difference: Float.
        error: Float, about how far `difference` may be off.
        tolerance: Float, the relative error that is allowed.

    Example:

    >>> Comparison(2.0, 1.0, error=0.01, tolerance=0.02).wrong
    True
    """

    gradient: float
    difference: float
    error: float
    tolerance: float

    @property
    def relative_error(self) -> float:
        """The difference of both, as a share of the larger one."""
        size = max(abs(self.gradient), abs(self.difference))
        return abs(self.gradient - self.difference) / size if size else 0.0

    @property
    def decided(self) -> bool:
        """Whether a gradient twice as large would be seen."""
        size = max(abs(self.gradient), abs(self.difference))
        return 3 * self.error <= size / 2

    @property
    def wrong(self) -> bool:
        """Whether the gradient is surely off."""
        size = max(abs(self.gradient), abs(self.difference))
        allowed = self.tolerance * size + 3 * self.error
        off = abs(self.gradient - self.difference)
        return self.decided and not off <= allowed


def judge(name: str, places: list[Any], found: list[Comparison]) -> WeightCheck:
    """Returns the check of one weight, with the worst of its figures."""
    worst = max(
        range(len(found)),
        key=lambda n: (found[n].decided, found[n].relative_error),
    )
    return WeightCheck(
        name,
        passed=not any(compared.wrong for compared in found),
        checks=len(found),
        undecided=sum(not compared.decided for compared in found),
        where=places[worst],
        gradient=found[worst].gradient,
        difference=found[worst].difference,
    )
