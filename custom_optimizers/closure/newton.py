"""Newton's method, damped, and free of saddles if asked."""

import numbers
from typing import Any

import keras
from keras import ops

from ..autodiff import larger, map_rows, times
from ..curvature.lanczos import lanczos
from ._search import (
    NOT_FINITE,
    SUFFICIENT,
    Search,
    choose,
    is_finite,
    rounding,
)
from .closure_optimizer import ClosureOptimizer, State
from .strong_wolfe import StrongWolfe
from .truncated_conjugate_gradient import truncated_conjugate_gradient


@keras.saving.register_keras_serializable(package="keras_regimen")
class Newton(ClosureOptimizer):
    """Newton's method: second derivatives, exact.

    Use it for small problems with a hard curvature, where it converges in a
    few iterations: in one on a quadratic. Up to `dense_limit` weights it makes
    the Hessian, one product for each weight, and factors it by Cholesky; where
    it is not positive definite, a multiple of the identity is added that makes
    the lowest eigenvalue positive. Above, it solves by conjugate gradients
    with products alone, and stops where the curvature turns negative. Compile
    it into a `FullBatchModel`, or call `minimize`.

    Args:
        damping: Float of at least 0, added to the Hessian's diagonal: the
            larger, the shorter and the more like gradient descent. Defaults
            to 0.0.
        saddle_free: Boolean. Whether to go away from negative curvature as
            far as positive curvature would draw near, by the Hessian's
            absolute value. Above `dense_limit` that is taken in the Krylov
            space of `lanczos_steps` dimensions. Defaults to `False`.
        line_search: Callable such as `StrongWolfe()`, the default. `None` is
            Newton's pure iteration: full steps, with the Hessian as it is, to
            whatever critical point is near, saddle points too (at most
            `dense_limit` weights).
        dense_limit: Integer of at least 0. The most weights of which the
            whole Hessian is made. Defaults to 200.
        lanczos_steps: Positive integer. Defaults to 20.
        learning_rate: Float above 0. What the first step that a line search
            tries is multiplied by; without one, every step. Defaults to 1.0.
        name: String, the optimizer's name.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> w = keras.Variable([3.0, 4.0])
    >>> loss = lambda: w[0] ** 2 + 50 * w[1] ** 2 + w[0] * w[1]
    >>> Newton().minimize(loss, [w], tolerance=1e-3).iterations
    1

    Reference:

    - Nocedal and Wright, "Numerical Optimization", 2nd edition, 2006,
      algorithm 3.2 with section 3.4's multiple of the identity (ours comes
      from the lowest eigenvalue, not from trials), and algorithm 7.1.
    - Dauphin, Pascanu, Gulcehre, Cho, Ganguli and Bengio, "Identifying and
      Attacking the Saddle Point Problem in High-Dimensional Non-Convex
      Optimization", [2014](https://arxiv.org/abs/1406.2572). Their Krylov
      space starts, as ours, at the gradient; they add no line search.
    """

    def __init__(
        self,
        damping: float = 0.0,
        saddle_free: bool = False,
        line_search: Any = "strong_wolfe",
        dense_limit: int = 200,
        lanczos_steps: int = 20,
        learning_rate: Any = 1.0,
        name: str | None = None,
    ):
        if not (isinstance(damping, numbers.Real) and damping >= 0):
            raise ValueError(
                f"`damping` must be at least 0. Received: damping={damping}"
            )
        for limit, value, least in (
            ("dense_limit", dense_limit, 0),
            ("lanczos_steps", lanczos_steps, 1),
        ):
            if not (isinstance(value, numbers.Integral) and value >= least):
                raise ValueError(
                    f"`{limit}` must be an integer of at least {least}. "
                    f"Received: {limit}={value}"
                )
        pure = line_search is None
        if pure:
            line_search = _full_step
        elif line_search == "strong_wolfe":
            line_search = StrongWolfe()
        super().__init__(line_search, learning_rate, name)
        self._pure: bool = pure
        self.damping: float = float(damping)
        self.saddle_free: bool = bool(saddle_free)
        self.dense_limit: int = int(dense_limit)
        self.lanczos_steps: int = int(lanczos_steps)

    def build(self, variables) -> None:
        super().build(variables)
        size = self._flat.size if self._flat else 0
        if self._pure and size > self.dense_limit:
            raise ValueError(
                "Without a line search `Newton` needs the whole Hessian. "
                f"Received: {size} weights, with dense_limit="
                f"{self.dense_limit}"
            )

    def direction(self, objective, state: State) -> tuple:
        def product(vector):
            image = objective.product(state.x, vector)
            return image + self.damping * vector

        gradient = state.gradient
        size = gradient.shape[0]
        if size <= self.dense_limit:
            hessian = map_rows(product, ops.eye(size, dtype=gradient.dtype))
            hessian = (hessian + ops.transpose(hessian)) / 2
            return self._dense(hessian, gradient), _count(size)
        if self.saddle_free:
            steps = min(self.lanczos_steps, size)
            t = lanczos(product, gradient, steps)
            inside = times(t.basis, gradient)
            inside = _by_absolute_value(t.matrix(), inside)
            return -times(ops.transpose(t.basis), inside), _count(steps)
        return truncated_conjugate_gradient(product, gradient)

    def _dense(self, hessian, gradient):
        if self.saddle_free:
            return -_by_absolute_value(hessian, gradient)
        if self._pure:
            return -ops.solve(hessian, gradient[:, None])[:, 0]
        # As far above zero as the lowest eigenvalue was below.
        values, _ = ops.linalg.eigh(hessian)
        lowest = values[0]
        floor = rounding(values.dtype) * ops.max(ops.abs(values))
        shift = ops.where(lowest < floor, ops.abs(lowest) - lowest + floor, 0.0)
        identity = ops.eye(hessian.shape[0], dtype=hessian.dtype)
        root = ops.cholesky(hessian + shift * identity)
        half = ops.solve_triangular(root, -gradient[:, None], lower=True)
        return ops.solve_triangular(ops.transpose(root), half)[:, 0]

    def _downhill(self, slope):
        return ops.isfinite(slope) if self._pure else super()._downhill(slope)

    def first_step(self, state: State, direction, slope):
        return ops.ones_like(slope)

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        config = {
            **super().get_config(),
            "damping": self.damping,
            "saddle_free": self.saddle_free,
            "dense_limit": self.dense_limit,
            "lanczos_steps": self.lanczos_steps,
        }
        if self._pure:
            config["line_search"] = None
        return config


def _by_absolute_value(matrix, vector):
    """Solves with a symmetric matrix' absolute value."""
    values, vectors = ops.linalg.eigh(matrix)
    sizes = ops.abs(values)
    # A flat direction gets no step without end.
    sizes = larger(sizes, ops.max(sizes) * rounding(sizes.dtype) ** 0.5)
    return times(vectors, times(ops.transpose(vectors), vector) / sizes)


def _full_step(phi, start, first_step) -> Search:
    """Takes the step as it is: no search at all."""
    trial = phi(first_step)
    finite = is_finite(trial)
    return Search(
        choose(finite, trial, start),
        trial.value - start.value,
        _count(1),
        ops.where(finite, _count(SUFFICIENT), _count(NOT_FINITE)),
    )


def _count(number):
    return ops.full((), number, "int32")
