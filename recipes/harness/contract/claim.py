"""What a recipe claims, declared before anything runs."""

import math
from dataclasses import dataclass

from .metrics import Metric


@dataclass(frozen=True)
class Claim:
    """A tested difference between two arms, paired by seed.

    Args:
        statement: String. The paper's claim in one sentence.
        source: String. Where the paper says it: author, year, section.
        treatment: String. The arm that is claimed to be better.
        baseline: String. The arm that it is compared with.
        metric: What is compared, such as `final("test_error")`.
        better: `"lower"` or `"higher"`: the metric's better side.
        smallest_effect: Positive float, in the metric's unit: the smallest
            mean difference that would matter, about half of what is
            expected. A claim is `reproduced` only from there on.
        on: Optional string. The data condition that the claim is about; the
            recipe's first one by default.
        worst: Optional float. What a diverged or failed run scores. Without
            it such a run makes the comparison `failed`: a pair is never
            dropped.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> from keras_regimen.recipes.harness import Claim, final
    >>> claim = Claim(
    ...     "Dropout lowers the test error.",
    ...     source="Srivastava et al., 2014",
    ...     treatment="dropout",
    ...     baseline="plain",
    ...     metric=final("test_error"),
    ...     better="lower",
    ...     smallest_effect=0.01,
    ... )
    >>> round(claim.gain(treatment=0.20, baseline=0.25), 9)
    0.05
    """

    statement: str
    source: str
    treatment: str
    baseline: str
    metric: Metric
    better: str
    smallest_effect: float
    on: str | None = None
    worst: float | None = None

    def __post_init__(self) -> None:
        _check_metric(self.metric)
        if self.better not in ("lower", "higher"):
            raise ValueError(
                '`better` must be "lower" or "higher". '
                f"Received: better={self.better!r}"
            )
        if not 0 < self.smallest_effect < math.inf:
            raise ValueError(
                "`smallest_effect` must be a positive number, in the unit of "
                f"the metric. Received: smallest_effect={self.smallest_effect}"
            )
        if self.treatment == self.baseline:
            raise ValueError(
                "`treatment` and `baseline` must be two arms. "
                f"Received: both {self.treatment!r}"
            )

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.treatment, self.baseline)

    def gain(self, treatment: float, baseline: float) -> float:
        """Returns the difference with + for the claimed direction."""
        if self.better == "lower":
            return baseline - treatment
        return treatment - baseline


@dataclass(frozen=True)
class Exact:
    """A claim that a figure stays within a tolerance in every seed.

    Use it where nothing is to be tested statistically: a gradient that
    equals another one, a closed form that is met.

    Args:
        statement: String. The claim in one sentence.
        source: String. Where it is said.
        metric: What is held against the tolerance.
        arm: Optional string. The arm it is about; every arm by default.
        at_most: Float. The largest value that agrees with the claim.
        on: Optional string. The data condition, the first one by default.

    Raises:
        ValueError: If an argument is outside of what is said above.

    Example:

    >>> from keras_regimen.recipes.harness import Exact, value
    >>> claim = Exact(
    ...     "Both gradients agree.", "calculus", value("gap"), at_most=1e-6
    ... )
    >>> claim.at_most
    1e-06
    """

    statement: str
    source: str
    metric: Metric
    arm: str | None = None
    at_most: float = math.nan
    on: str | None = None

    def __post_init__(self) -> None:
        _check_metric(self.metric)
        if not -math.inf < self.at_most < math.inf:
            raise ValueError(
                "`at_most` must be a finite number, in the unit of the "
                f"metric. Received: at_most={self.at_most}"
            )

    @property
    def arms(self) -> tuple[str, ...]:
        return () if self.arm is None else (self.arm,)


def _check_metric(metric: object) -> None:
    if not isinstance(metric, Metric):
        raise ValueError(
            "`metric` must be one of final(), at_best_epoch(), steps_to(), "
            f"gap() and value(). Received: metric={metric!r}"
        )
