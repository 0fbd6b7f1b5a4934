"""BFGS, with the whole inverse of the Hessian."""

from typing import Any

import keras
from keras import ops

from ..autodiff import length, times
from ._search import rounding
from .closure_optimizer import ClosureOptimizer, State
from .strong_wolfe import StrongWolfe


@keras.saving.register_keras_serializable(package="keras_regimen")
class BFGS(ClosureOptimizer):
    """BFGS: learns the inverse of the Hessian from the gradients.

    Use it for smooth problems of up to some thousand weights: it keeps a
    matrix of a row and a column for each. `LBFGS` is for more. Compile it into
    a `FullBatchModel`, or call `minimize`.

    Args:
        line_search: Callable such as `StrongWolfe()`, the default.
        learning_rate: Float above 0. What the first step that a line search
            tries is multiplied by. Defaults to 1.0.
        name: String, the optimizer's name.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> w = keras.Variable([-1.2, 1.0])
    >>> rosenbrock = lambda: 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2
    >>> minimum = BFGS().minimize(rosenbrock, [w], tolerance=1e-3)
    >>> minimum.converged, minimum.iterations < 50
    (True, True)

    Reference:

    - Nocedal and Wright, "Numerical Optimization", 2nd edition, 2006,
      algorithm 6.1. The start is the identity, as in SciPy; a step of no
      positive curvature, which only a failed search leaves, teaches nothing.
    """

    def __init__(
        self,
        line_search: Any = None,
        learning_rate: Any = 1.0,
        name: str | None = None,
    ):
        super().__init__(line_search or StrongWolfe(), learning_rate, name)

    def empty_memory(self, size: int, dtype: str) -> tuple:
        return (ops.zeros((size, size), dtype),)

    def direction(self, objective, state: State) -> tuple:
        inverse = self._inverse(state)
        direction = -times(inverse, state.gradient)
        return direction, ops.zeros((), "int32")

    def updated(self, memory: tuple, old: State, new: State, direction):
        step, change = new.x - old.x, new.gradient - old.gradient
        inverse = self._inverse(old)
        product = ops.sum(step * change)
        image = times(inverse, change)
        # (I - s y'/p) H (I - y s'/p) + s s'/p, written out.
        scale = (1 + ops.sum(change * image) / product) / product
        mixed = ops.outer(image, step) / product
        learned = (
            inverse
            - mixed
            - ops.transpose(mixed)
            + scale * ops.outer(step, step)
        )
        least = rounding(step.dtype) * length(step) * length(change)
        return (ops.where(product > least, learned, inverse),)

    def _inverse(self, state: State):
        (inverse,) = state.memory
        identity = ops.eye(inverse.shape[0], dtype=inverse.dtype)
        return ops.where(state.age > 0, inverse, identity)
