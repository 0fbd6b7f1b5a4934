"""The extreme eigenvalues of a loss' Hessian."""

import warnings
from typing import NamedTuple

import numpy as np
from keras import ops

from ..autodiff import FlatVariables, Objective, compiled
from .lanczos import lanczos


class HessianEigenvalues(NamedTuple):
    """Eigenvalues of a Hessian, the first being the most extreme.

    Args:
        values: Array `(count,)`.
        vectors: Array `(count, weights)`, a unit eigenvector in each row: the
            variables' values one after the other.
        residuals: Array `(count,)`, the length of `H v - value v`: there is
            an exact eigenvalue as near as this.

    Example:

    >>> w = keras.Variable([1.0, 1.0])
    >>> found = hessian_eigenvalues(lambda: w[0] ** 2 - w[1] ** 2, [w])
    >>> [round(abs(float(x)), 3) for x in found.vectors[0]]
    [1.0, 0.0]
    """

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray


def hessian_eigenvalues(
    loss,
    variables,
    count: int = 1,
    which: str = "largest",
    max_products: int = 500,
    tolerance: float = 1e-4,
    seed: int = 0,
) -> HessianEigenvalues:
    """Returns the extreme eigenvalues of a loss' Hessian.

    Use it to see how sharp a minimum is (the largest), whether there is a way
    down from a critical point (the smallest), or how badly conditioned a
    problem is. The Hessian is only multiplied with vectors, each product at
    the cost of a few gradients; as many as converge are spent.

    Args:
        loss: Function without arguments that reads `variables` and returns a
            scalar tensor. What it assigns to variables is forgotten.
        variables: Non-empty list of float `keras.Variable`s.
        count: Positive integer, how many. Default 1.
        which: `"largest"`, `"smallest"` (the most negative) or `"all"`, from
            the largest on, which wants as many products as there are weights
            and memory for their square.
        max_products: Positive integer. The products that one attempt may
            cost; at least `count`. Where it is reached first, a warning says
            so. Default 500.
        tolerance: Positive float. The residual at which an eigenvalue counts
            as found, relative to the largest absolute one. Default 1e-4.
        seed: Integer. Fixes the start vector.

    Returns:
        A `HessianEigenvalues`, of `values`, `vectors` and `residuals`.

    Raises:
        ValueError: If an argument is outside its range, `variables` is empty
            or holds something else than float variables, or `loss` does not
            return a scalar.

    Example:

    >>> w = keras.Variable([1.0, 1.0])
    >>> loss = lambda: 3 * w[0] ** 2 - w[1] ** 2
    >>> found = hessian_eigenvalues(loss, [w], which="all")
    >>> [round(float(value), 3) for value in found.values]
    [6.0, -2.0]

    Reference:

    - Lanczos' method with complete reorthogonalization, as in Golub and Van
      Loan, "Matrix Computations", 4th edition, 2013, section 10.3; on
      Hessians of nets, Ghorbani, Krishnan and Xiao, "An Investigation into
      Neural Net Optimization via Hessian Eigenvalue Density",
      [2019](https://arxiv.org/abs/1901.10159). They estimate a density; we
      only keep what converges.
    """
    flat = FlatVariables(variables)
    if which not in ("largest", "smallest", "all"):
        raise ValueError(
            '`which` must be "largest", "smallest" or "all". '
            f"Received: which={which!r}"
        )
    if which == "all":
        count = max_products = flat.size
    if not 1 <= count <= min(flat.size, max_products):
        raise ValueError(
            "`count` must be an integer of at least 1 and at most the number "
            f"of weights, {flat.size}, and `max_products`, {max_products}. "
            f"Received: count={count}"
        )
    if not tolerance > 0:
        raise ValueError(
            "`tolerance` must be a positive number. "
            f"Received: tolerance={tolerance}"
        )
    objective, here = Objective(flat.function(loss)), flat.read()
    product = compiled(lambda vector: objective.product(here, vector))
    rng = np.random.default_rng(seed)
    start = ops.convert_to_tensor(rng.normal(size=flat.size), flat.dtype)
    sign = -1 if which == "smallest" else 1

    steps = min(2 * count + 18, max_products, flat.size)
    while True:
        found = lanczos(product, start, steps)
        small, rotation = np.linalg.eigh(ops.convert_to_numpy(found.matrix()))
        order = np.argsort(-sign * small)[:count]
        values = small[order]
        vectors = rotation[:, order].T @ ops.convert_to_numpy(found.basis)
        images = [ops.convert_to_numpy(product(v)) for v in _rows(vectors)]
        residuals = np.linalg.norm(images - values[:, None] * vectors, axis=1)
        # All zero: the loss is linear.
        scale = np.max(np.abs(small)) or 1.0
        worst = np.max(residuals) / scale
        if worst <= tolerance or steps == min(max_products, flat.size):
            break
        steps = min(2 * steps, max_products, flat.size)
    if worst > tolerance:
        warnings.warn(
            f"after {steps} products the residual is {worst:.1e} of the "
            f"largest eigenvalue, above tolerance={tolerance}. Raise "
            "`max_products`; until then the true values are more extreme",
            stacklevel=2,
        )
    return HessianEigenvalues(values, vectors, residuals)


def _rows(matrix):
    return map(ops.convert_to_tensor, matrix)
