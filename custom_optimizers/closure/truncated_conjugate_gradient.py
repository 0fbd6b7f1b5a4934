"""Newton's equation, solved without the Hessian and only as far as needed."""

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from ..autodiff import smaller, while_loop
from ._search import choose


class _State(NamedTuple):
    solution: Any
    residual: Any
    conjugate: Any
    product: Any
    steps: Any
    done: Any


def truncated_conjugate_gradient(product: Callable, gradient) -> tuple:
    """Solves `H d = -g` roughly, by products with H alone.

    Use it for Newton's direction in many dimensions. It ends once the residual
    is small beside the gradient, the smaller the nearer a minimum, so that the
    outer iteration stays faster than linear; and where the curvature is not
    positive, with what it has.

    Args:
        product: Function from a vector `(size,)` to its product with the
            symmetric matrix H.
        gradient: Tensor `(size,)`, g.

    Returns:
        The direction d, downhill, and the number of products, an integer
        tensor.

    Example:

    >>> g = keras.ops.array([1.0, 2.0])
    >>> d, products = truncated_conjugate_gradient(lambda v: 2 * v, g)
    >>> [float(x) for x in d], int(products)
    ([-0.5, -1.0], 1)

    Reference:

    - Dembo and Steihaug, "Truncated-Newton Algorithms for Large-Scale
      Unconstrained Optimization", Mathematical Programming 26, 1983; the
      tolerance, in the 1-norm, is that of SciPy's Newton-CG.
    """
    size = ops.sum(ops.abs(gradient))
    tolerance = size * smaller(ops.sqrt(size), 0.5)
    limit = 20 * gradient.shape[0]

    def improved(state):
        image = product(state.conjugate)
        curvature = ops.sum(state.conjugate * image)
        convex = curvature > 0
        scale = state.product / curvature
        solution = state.solution + scale * state.conjugate
        residual = state.residual + scale * image
        after = ops.sum(residual * residual)
        conjugate = -residual + after / state.product * state.conjugate
        # The first direction, which is steepest descent, serves anyway.
        first = state.steps == 0
        stopped = state._replace(
            solution=ops.where(first, state.conjugate, state.solution),
            done=ops.ones_like(state.done),
        )
        small = ops.sum(ops.abs(residual)) <= tolerance
        advanced = _State(
            solution, residual, conjugate, after, state.steps, small
        )
        chosen = choose(convex, advanced, stopped)
        return chosen._replace(steps=state.steps + 1)

    state = while_loop(
        lambda s: ~s.done & (s.steps < limit),
        improved,
        _State(
            ops.zeros_like(gradient),
            gradient,
            -gradient,
            ops.sum(gradient * gradient),
            ops.zeros((), "int32"),
            size < 0,
        ),
    )
    return state.solution, state.steps
