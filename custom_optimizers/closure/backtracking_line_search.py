"""A line search that shortens the step until the loss falls enough."""

import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from ..autodiff import while_loop
from ._search import (
    BUDGET,
    NOT_FINITE,
    SUFFICIENT,
    Search,
    Trial,
    change,
    choose,
    is_finite,
)


class _State(NamedTuple):
    step: Any
    best: Search


@keras.saving.register_keras_serializable(package="keras_regimen")
class BacktrackingLineSearch:
    """Shortens a step until the loss falls enough.

    Use it with `Newton`, whose full step is right near a minimum: then one
    evaluation does. Quasi-Newton methods and conjugate gradients want
    `StrongWolfe`, which may lengthen a step, too. A step t along a direction,
    where the loss is f(t), is accepted if
    `f(t) <= f(0) + sufficient_decrease * t * f'(0)`. Where values differ by
    less than their rounding, the difference comes from the slopes.

    Args:
        sufficient_decrease: Float in `(0, 1)`. Defaults to `1e-4`.
        shrink: Float in `(0, 1)`, what a step that fails is multiplied by.
            Defaults to 0.5.
        max_evaluations: Positive integer, the most evaluations of one search.
            Defaults to 30.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> def phi(t):  # (t - 1)^2
    ...     return Trial(t, (t - 1) ** 2, 2 * (t - 1), keras.ops.zeros(()))
    >>> start, eight = phi(keras.ops.zeros(())), 8 * keras.ops.ones(())
    >>> found = BacktrackingLineSearch()(phi, start, eight)
    >>> float(found.trial.step), int(found.evaluations)
    (1.0, 4)

    Reference:

    - Armijo, "Minimization of Functions Having Lipschitz Continuous First
      Partial Derivatives", Pacific Journal of Mathematics 16(1), 1966. Ours
      goes on from a loss that is not finite, as from one that is too high.
    """

    def __init__(
        self,
        sufficient_decrease: float = 1e-4,
        shrink: float = 0.5,
        max_evaluations: int = 30,
    ):
        for name, value in (
            ("sufficient_decrease", sufficient_decrease),
            ("shrink", shrink),
        ):
            if not (isinstance(value, numbers.Real) and 0 < value < 1):
                raise ValueError(
                    f"`{name}` must be in (0, 1). Received: {name}={value}"
                )
        if not (
            isinstance(max_evaluations, numbers.Integral)
            and max_evaluations > 0
        ):
            raise ValueError(
                "`max_evaluations` must be a positive integer. "
                f"Received: max_evaluations={max_evaluations}"
            )
        self.sufficient_decrease: float = float(sufficient_decrease)
        self.shrink: float = float(shrink)
        self.max_evaluations: int = int(max_evaluations)

    def __call__(
        self, phi: Callable[[Any], Trial], start: Trial, first_step
    ) -> Search:
        """Searches along a line.

        Args:
            phi: Function from a step, a scalar tensor, to the `Trial` there.
            start: The `Trial` of step 0, with a negative slope.
            first_step: Positive scalar tensor, the first step to try.

        Returns:
            A `Search`.
        """

        def tried(state):
            trial = phi(state.step)
            finite = is_finite(trial)
            difference = change(start, trial)
            goal = self.sufficient_decrease * trial.step * start.slope
            accepted = finite & (difference <= goal)
            better = finite & (difference < state.best.change)
            best = choose(
                accepted | better,
                state.best._replace(trial=trial, change=difference),
                state.best,
            )
            reason = ops.where(finite, code(BUDGET), code(NOT_FINITE))
            best = best._replace(
                evaluations=best.evaluations + 1,
                reason=ops.where(accepted, code(SUFFICIENT), reason),
            )
            return _State(state.step * self.shrink, best)

        def code(reason):
            return ops.full((), reason, "int32")

        zero = ops.zeros_like(start.value)
        nothing = Search(start, zero, ops.zeros((), "int32"), code(BUDGET))
        state = while_loop(
            lambda s: (
                (s.best.reason != SUFFICIENT)
                & (s.best.evaluations < self.max_evaluations)
            ),
            tried,
            _State(first_step, nothing),
        )
        return state.best

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        return {
            "sufficient_decrease": self.sufficient_decrease,
            "shrink": self.shrink,
            "max_evaluations": self.max_evaluations,
        }

    @classmethod
    def from_config(cls, config: dict):
        """Makes a line search from what `get_config` returned."""
        return cls(**config)
