"""What a check of gradients found, weight by weight."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class WeightCheck:
    """What `check_gradients` found for one weight.

    Args:
        weight: String, the weight's path; `"inputs"` for a layer's inputs.
        passed: Boolean.
        checks: Integer, the directions and single entries that were compared.
        undecided: Integer, those of them where differences say nothing: a
            kink is too near, or rounding too large.
        where: The index of the entry with the largest relative error, or
            `"a direction"`.
        gradient: Float, the gradient's value there.
        difference: Float, what differences of the loss say there.

    Example:

    >>> WeightCheck("kernel", False, 4, 0, (0, 1), 2.0, 1.0).passed
    False
    """

    weight: str
    passed: bool
    checks: int
    undecided: int
    where: Any
    gradient: float
    difference: float


@dataclasses.dataclass(frozen=True)
class GradientReport:
    """What `check_gradients` found, weight by weight; printed, a table.

    Args:
        weights: Tuple of `WeightCheck`s.

    Example:

    >>> check = WeightCheck("kernel", False, 4, 0, (0, 1), 2.0, 1.0)
    >>> GradientReport((check,)).wrong
    ['kernel']
    """

    weights: tuple[WeightCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether no gradient is wrong."""
        return not self.wrong

    @property
    def wrong(self) -> list[str]:
        """The paths of the weights whose gradients are wrong."""
        return [check.weight for check in self.weights if not check.passed]

    def __str__(self) -> str:
        width = max(len(check.weight) for check in self.weights)
        return "\n".join(
            f"{'ok   ' if check.passed else 'WRONG'} {check.weight:<{width}}  "
            f"{check.checks - check.undecided} of {check.checks} decided; "
            f"{check.where}: gradient {check.gradient:.6g}, "
            f"differences {check.difference:.6g}"
            for check in self.weights
        )
