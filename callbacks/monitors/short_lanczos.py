"""The largest eigenvalue of a matrix from a few of its products."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from ...custom_optimizers.autodiff import length, while_loop


def short_lanczos(
    product: Callable[[Any], Any], start: Any, steps: int
) -> tuple[Any, Any]:
    """Brings a symmetric matrix into a small one, without keeping a basis.

    Use it, and then `largest_eigenvalue`, where the largest is all that is
    sought. `curvature.lanczos` keeps its vectors orthogonal, so that each
    eigenvalue comes once, at a cost that is above that of the products of a
    small net. Where they lose it by rounding, an eigenvalue that is found
    comes again: the largest stays the largest.

    Args:
        product: Function from a vector `(size,)` to the matrix' product with
            it.
        start: Float tensor `(size,)`, not zero.
        steps: Positive integer. The number of products.

    Returns:
        Tuple of two tensors `(steps,)`: the diagonal of a tridiagonal matrix,
        and what stands beside it, of which the last leads out of the matrix.
        From a 0 there on, nothing was found any more.

    Example:

    >>> matrix = keras.ops.diag(keras.ops.array([1.0, 2.0, 9.0]))
    >>> found = short_lanczos(
    ...     lambda v: keras.ops.dot(matrix, v), keras.ops.ones(3), steps=2
    ... )
    >>> [round(float(x), 3) for x in found[0]]
    [4.0, 6.368]

    Reference:

    - Paige, "Error Analysis of the Lanczos Algorithm for Tridiagonalizing a
      Symmetric Matrix", 1976, on why what is found stays right.
    """
    places = ops.arange(steps)
    zeros = ops.zeros((steps,), start.dtype)
    # What is left below this share of a vector's length is rounding.
    tolerance = 1e-6

    def advance(state):
        step, before, here, coupling, diagonal, beside = state
        image = product(here)
        along = ops.sum(image * here)
        rest = image - along * here - coupling * before
        left = length(rest)
        left = ops.where(left > tolerance * length(image), left, 0.0)
        following = rest / ops.where(left > 0, left, 1.0)
        following = ops.where(left > 0, following, 0.0)
        now = ops.cast(places == step, start.dtype)
        return (
            step + 1,
            here,
            following,
            left,
            diagonal + now * along,
            beside + now * left,
        )

    *_, diagonal, beside = while_loop(
        lambda state: state[0] < steps,
        advance,
        (
            ops.zeros((), "int32"),
            ops.zeros_like(start),
            start / length(start),
            ops.zeros((), start.dtype),
            zeros,
            zeros,
        ),
    )
    return diagonal, beside


def largest_eigenvalue(
    diagonal: np.ndarray, beside: np.ndarray
) -> tuple[float, float]:
    """Returns the largest eigenvalue that `short_lanczos` has found.

    Args:
        diagonal: Array `(steps,)`.
        beside: Array `(steps,)`.

    Returns:
        Tuple of the eigenvalue and its residual: the matrix has an exact
        eigenvalue as near as this. Both are NaN if the matrix is not finite.

    Example:

    >>> largest_eigenvalue(np.array([1.0, 5.0]), np.array([0.0, 0.0]))
    (1.0, 0.0)
    """
    if not (np.isfinite(diagonal).all() and np.isfinite(beside).all()):
        return float("nan"), float("nan")
    ends = np.flatnonzero(beside == 0)
    size = ends[0] + 1 if ends.size else len(diagonal)
    inner = beside[: size - 1]
    matrix = np.diag(diagonal[:size]) + np.diag(inner, 1) + np.diag(inner, -1)
    values, vectors = np.linalg.eigh(matrix)
    return float(values[-1]), float(beside[size - 1] * abs(vectors[-1, -1]))
