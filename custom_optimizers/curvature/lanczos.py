"""Lanczos' method: a symmetric matrix in a small tridiagonal one."""

from typing import Any, NamedTuple

import keras
from keras import ops

from ..autodiff import length, times, while_loop


class Tridiagonal(NamedTuple):
    """A matrix A in an orthonormal basis Q: `T = Q A Q^T` is tridiagonal.

    Args:
        diagonal: Tensor `(steps,)`, the diagonal of T.
        off_diagonal: Tensor `(steps - 1,)`, the diagonals beside it.
        basis: Tensor `(steps, size)`, Q: orthonormal rows, of which the first
            is the start vector's direction.

    Example:

    >>> matrix = keras.ops.diag(keras.ops.array([1.0, 3.0]))
    >>> product = lambda v: keras.ops.dot(matrix, v)
    >>> t = lanczos(product, keras.ops.ones(2), steps=2)
    >>> [round(float(x), 3) for x in keras.ops.linalg.eigh(t.matrix())[0]]
    [1.0, 3.0]
    """

    diagonal: Any
    off_diagonal: Any
    basis: Any

    def matrix(self):
        """Returns T as a dense tensor `(steps, steps)`."""
        beside = ops.diag(self.off_diagonal, k=1)
        return ops.diag(self.diagonal) + beside + ops.transpose(beside)


class _Progress(NamedTuple):
    step: Any
    diagonal: Any
    off_diagonal: Any
    basis: Any
    following: Any


def lanczos(product, start, steps: int) -> Tridiagonal:
    """Brings a symmetric matrix, given by its products, into a small one.

    Use it for the extreme eigenvalues of a matrix that is too large to store,
    such as a Hessian: those of T converge to them from inside. Each new basis
    vector is made orthogonal to all before it, twice, so that no eigenvalue
    appears as a copy of another. Where the basis cannot grow from the start
    vector any more, it goes on from another direction: with as many steps as
    the matrix has rows, T has all its eigenvalues, repeated ones too.

    Args:
        product: Function from a vector `(size,)` to the matrix' product with
            it.
        start: Float tensor `(size,)`, not zero.
        steps: Positive integer, the size of T and the number of products. At
            most `size`.

    Returns:
        A `Tridiagonal`, of `diagonal`, `off_diagonal` and `basis`.

    Raises:
        ValueError: If `start` is not a vector or `steps` is not in
            `[1, size]`.

    Example:

    >>> matrix = keras.ops.diag(keras.ops.array([1.0, 2.0, 9.0]))
    >>> product = lambda v: keras.ops.dot(matrix, v)
    >>> t = lanczos(product, keras.ops.ones(3), steps=3)
    >>> round(float(keras.ops.linalg.eigh(t.matrix())[0][-1]), 3)
    9.0

    Reference:

    - Golub and Van Loan, "Matrix Computations", 4th edition, 2013, section
      10.3.5, complete reorthogonalization. They stop at an invariant subspace;
      we go on beside it.
    """
    start = ops.convert_to_tensor(start)
    size = start.shape[0] if len(start.shape) == 1 else 0
    if not size:
        raise ValueError(
            "`start` must be a vector. "
            f"Received: start of shape {tuple(start.shape)}"
        )
    if not 1 <= steps <= size:
        raise ValueError(
            f"`steps` must be an integer in [1, {size}], the size of the "
            f"vector. Received: steps={steps}"
        )
    dtype = keras.backend.standardize_dtype(start.dtype)
    # What is left below this share of a vector's length is rounding.
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    numbers = ops.cast(ops.arange(1, size + 1), dtype)
    positions = ops.arange(steps)

    def orthogonal(vector, basis):
        for _ in range(2):
            vector = vector - times(ops.transpose(basis), times(basis, vector))
        return vector

    def unit(vector):
        return vector / length(vector)

    def advance(state):
        here = ops.cast(positions == state.step, dtype)
        basis = state.basis + here[:, None] * state.following
        image = product(state.following)
        size_before = length(image)
        diagonal = ops.sum(image * state.following)
        rest = orthogonal(image, basis)
        beside = length(rest)
        alive = beside > tolerance * size_before
        # Any direction serves that is not in the basis already.
        other = ops.sin(numbers * (ops.cast(state.step, dtype) + 1.7))
        following = unit(ops.where(alive, rest, orthogonal(other, basis)))
        return _Progress(
            state.step + 1,
            state.diagonal + here * diagonal,
            state.off_diagonal + here * ops.where(alive, beside, 0.0),
            basis,
            following,
        )

    zeros = ops.zeros((steps,), dtype)
    progress = while_loop(
        lambda state: state.step < steps,
        advance,
        _Progress(
            ops.zeros((), "int32"),
            zeros,
            zeros,
            ops.zeros((steps, size), dtype),
            unit(start),
        ),
    )
    return Tridiagonal(
        progress.diagonal, progress.off_diagonal[:-1], progress.basis
    )
