"""Nonlinear conjugate gradients."""

from typing import Any

import keras
from keras import ops

from ..autodiff import larger
from .closure_optimizer import ClosureOptimizer, State
from .strong_wolfe import StrongWolfe

_FORMULAS = ("fletcher_reeves", "polak_ribiere")


@keras.saving.register_keras_serializable(package="keras_regimen")
class NonlinearConjugateGradient(ClosureOptimizer):
    """Conjugate gradients for any smooth loss.

    Use it where memory is scarce: it keeps one vector of the weights' size, so
    less than any other closure optimizer, and needs more iterations than
    `LBFGS`. On a quadratic of n weights it takes at most n iterations, up to
    the accuracy of the line search. Compile it into a `FullBatchModel`, or
    call `minimize`.

    Args:
        formula: `"polak_ribiere"` (the default; PR+, which restarts by itself
            where the last direction is no help) or `"fletcher_reeves"`.
        line_search: Callable such as `StrongWolfe()`. Defaults to
            `StrongWolfe(curvature=0.1)`: a search that ends early costs
            conjugacy. Fletcher-Reeves needs a `curvature` below 0.5.
        learning_rate: Float above 0. What the first step that a line search
            tries is multiplied by. Defaults to 1.0.
        name: String, the optimizer's name.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> w = keras.Variable([3.0, 4.0])
    >>> scales = keras.ops.array([1.0, 10.0])
    >>> loss = lambda: keras.ops.sum(scales * w * w)
    >>> NonlinearConjugateGradient().minimize(loss, [w]).converged
    True

    Reference:

    - Fletcher and Reeves, "Function Minimization by Conjugate Gradients", The
      Computer Journal 7(2), 1964.
    - Polak and Ribiere, "Note sur la convergence de methodes de directions
      conjuguees", 1969; with Powell's restart, the positive part, as in
      Gilbert and Nocedal, 1992, and in SciPy.
    """

    def __init__(
        self,
        formula: str = "polak_ribiere",
        line_search: Any = None,
        learning_rate: Any = 1.0,
        name: str | None = None,
    ):
        if formula not in _FORMULAS:
            raise ValueError(
                f"`formula` must be one of {_FORMULAS}. "
                f"Received: formula={formula!r}"
            )
        super().__init__(
            line_search or StrongWolfe(curvature=0.1), learning_rate, name
        )
        self.formula = formula

    def empty_memory(self, size: int, dtype: str) -> tuple:
        return (ops.zeros((size,), dtype),)

    def direction(self, objective, state: State) -> tuple:
        (conjugate,) = state.memory
        direction = ops.where(state.age > 0, conjugate, -state.gradient)
        return direction, ops.zeros((), "int32")

    def updated(self, memory: tuple, old: State, new: State, direction):
        before, after = old.gradient, new.gradient
        if self.formula == "fletcher_reeves":
            beta = ops.sum(after * after) / ops.sum(before * before)
        else:
            beta = ops.sum(after * (after - before)) / ops.sum(before * before)
            beta = larger(beta, 0.0)
        return (beta * direction - after,)

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        return {"formula": self.formula, **super().get_config()}
