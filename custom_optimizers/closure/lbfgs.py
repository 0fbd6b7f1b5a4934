"""Limited-memory BFGS."""

import numbers
from typing import Any

import keras
from keras import ops

from ..autodiff import length, times
from .closure_optimizer import ClosureOptimizer, State
from .strong_wolfe import StrongWolfe


@keras.saving.register_keras_serializable(package="keras_regimen")
class LBFGS(ClosureOptimizer):
    """Limited-memory BFGS: curvature from the last few steps.

    Use it for full batches and small problems, and where plain gradient
    descent crawls: it needs no learning rate, and often a tenth of the
    gradients. It keeps `2 * history` vectors of the weights' size. Compile it
    into a `FullBatchModel`, or call `minimize`. With a loss that changes
    between evaluations, such as mini-batches, its curvature means nothing.

    Args:
        history: Positive integer, how many steps it remembers. Defaults to
            10.
        line_search: Callable such as `StrongWolfe()`. Defaults to
            `StrongWolfe(1e-3, 0.9, interval=0.1)`, as in L-BFGS-B.
        learning_rate: Float above 0. What the first step that a line search
            tries is multiplied by. Defaults to 1.0.
        name: String, the optimizer's name.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> w = keras.Variable([3.0, 4.0])
    >>> scales = keras.ops.array([1.0, 100.0])
    >>> loss = lambda: keras.ops.sum(scales * w * w)
    >>> LBFGS().minimize(loss, [w]).converged
    True

    Reference:

    - Liu and Nocedal, "On the Limited Memory BFGS Method for Large Scale
      Optimization", Mathematical Programming 45, 1989. The two loops of their
      recursion are the two triangular systems here, solved by substitution:
      four products with the history in place of `4 * history` with vectors.
    - Steps and line search are those of L-BFGS-B (Zhu, Byrd, Lu and Nocedal,
      1997) without bounds.
    """

    def __init__(
        self,
        history: int = 10,
        line_search: Any = None,
        learning_rate: Any = 1.0,
        name: str | None = None,
    ):
        if not (isinstance(history, numbers.Integral) and history > 0):
            raise ValueError(
                "`history` must be a positive integer. "
                f"Received: history={history}"
            )
        super().__init__(
            line_search or StrongWolfe(1e-3, 0.9, interval=0.1),
            learning_rate,
            name,
        )
        self.history: int = int(history)

    def empty_memory(self, size: int, dtype: str) -> tuple:
        steps = ops.zeros((self.history, size), dtype)
        products = ops.zeros((self.history, self.history), dtype)
        return steps, steps, products

    def direction(self, objective, state: State) -> tuple:
        # Rows are in the order of time, the last the newest; those that are
        # not filled yet, or forgotten, get no share. `products[i, j]` is
        # s_i y_j.
        steps, changes, products = state.memory
        diagonal = ops.diagonal(products)
        ages = ops.arange(self.history - 1, -1, -1)
        used = (ages < state.age) & (diagonal > 0)
        both = used[:, None] & used[None, :]
        upper = ops.where(both, ops.triu(products), 0.0)
        diagonal = ops.where(used, diagonal, 1.0)
        upper = upper + ops.diag(ops.where(used, 0.0, diagonal))

        # From the newest to the oldest: alpha_i = s_i q / s_i y_i, then
        # q -= alpha_i y_i. So s_i g = sum over j >= i of (s_i y_j) alpha_j.
        left = ops.where(used, times(steps, state.gradient), 0.0)
        alpha = _solved(upper, left)
        q = state.gradient - times(ops.transpose(changes), alpha)
        newest = ops.sum(changes[-1] * changes[-1])
        scale = ops.where(used[-1], diagonal[-1] / newest, 1.0)
        # From the oldest to the newest: beta_i = y_i r / s_i y_i, then
        # r += (alpha_i - beta_i) s_i.
        right = diagonal * alpha - scale * times(changes, q)
        right = ops.where(used, right, 0.0)
        delta = _solved(ops.transpose(upper), right, lower=True)
        direction = -(scale * q + times(ops.transpose(steps), delta))
        return direction, ops.zeros((), "int32")

    def updated(self, memory: tuple, old: State, new: State, direction):
        steps, changes, products = memory
        step, change = new.x - old.x, new.gradient - old.gradient
        steps = _pushed(steps, step)
        changes = _pushed(changes, change)
        # The last column is s_i y, and no product below the diagonal is used.
        column = times(steps, change)
        products = ops.concatenate(
            [ops.pad(products[1:, 1:], [[0, 1], [0, 0]]), column[:, None]],
            axis=1,
        )
        return steps, changes, products

    def first_step(self, state: State, direction, slope):
        return ops.where(state.age > 0, 1.0, 1 / length(direction))

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        return {"history": self.history, **super().get_config()}


def _pushed(rows, row):
    return ops.concatenate([rows[1:], row[None]], axis=0)


def _solved(triangle, right, lower=False):
    return ops.solve_triangular(triangle, right[:, None], lower=lower)[:, 0]
