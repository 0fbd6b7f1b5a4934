"""Minimum, maximum or saddle: what kind of point weights are at."""

from typing import NamedTuple

import numpy as np
from keras import ops

from ..autodiff import FlatVariables, Objective, compiled
from .hessian_eigenvalues import hessian_eigenvalues


class CriticalPoint(NamedTuple):
    """A point, as its gradient and its Hessian describe it.

    Args:
        kind: `"minimum"`, `"maximum"`, `"saddle"`, `"degenerate"` or
            `"not critical"`.
        gradient_norm: Float.
        smallest: Float, the smallest eigenvalue of the Hessian.
        largest: Float, its largest.

    Example:

    >>> CriticalPoint("saddle", 0.0, -2.0, 2.0).kind
    'saddle'
    """

    kind: str
    gradient_norm: float
    smallest: float
    largest: float


def classify_critical_point(
    loss,
    variables,
    gradient_tolerance: float = 1e-3,
    curvature_tolerance: float = 1e-4,
    max_products: int = 500,
) -> CriticalPoint:
    """Says what kind of point the weights are at.

    Use it where training stands still, to tell a minimum from a saddle point,
    from which there is a way down that the gradient does not show.

    Args:
        loss: Function without arguments that reads `variables` and returns a
            scalar tensor.
        variables: Non-empty list of float `keras.Variable`s.
        gradient_tolerance: Positive float. A point whose gradient is longer
            is not critical. Default 1e-3.
        curvature_tolerance: Positive float. An eigenvalue smaller than this
            share of the largest absolute one counts as 0. Default 1e-4.
        max_products: Positive integer, the products of the Hessian with a
            vector that each end of its spectrum may cost. Default 500.

    Returns:
        A `CriticalPoint`. Its `kind` is `"minimum"` if the loss curves
        upwards in every direction, `"maximum"` if downwards in every one,
        `"saddle"` if both occur, `"degenerate"` if some direction is flat and
        the others agree, so that second derivatives cannot tell, and `"not
        critical"` if there is a slope.

    Raises:
        ValueError: If a tolerance is not positive, `variables` is empty or
            holds something else than float variables, or `loss` does not
            return a scalar.

    Example:

    >>> w = keras.Variable([0.0, 0.0])
    >>> loss = lambda: w[0] ** 2 - w[1] ** 2
    >>> classify_critical_point(loss, [w]).kind
    'saddle'

    Reference:

    - Dauphin, Pascanu, Gulcehre, Cho, Ganguli and Bengio, "Identifying and
      attacking the saddle point problem in high-dimensional non-convex
      optimization", [2014](https://arxiv.org/abs/1406.2572), section 2. They
      count all negative eigenvalues; we look at the two ends.
    """
    for name, tolerance in (
        ("gradient_tolerance", gradient_tolerance),
        ("curvature_tolerance", curvature_tolerance),
    ):
        if not tolerance > 0:
            raise ValueError(
                f"`{name}` must be a positive number. "
                f"Received: {name}={tolerance}"
            )
    flat = FlatVariables(variables)
    _, gradient = compiled(Objective(flat.function(loss)))(flat.read())
    norm = float(np.linalg.norm(ops.convert_to_numpy(gradient)))
    smallest, largest = (
        float(
            hessian_eigenvalues(
                loss,
                flat.variables,
                which=which,
                max_products=max_products,
                tolerance=curvature_tolerance,
            ).values[0]
        )
        for which in ("smallest", "largest")
    )
    flat_below = curvature_tolerance * max(abs(smallest), abs(largest))
    if norm > gradient_tolerance:
        kind = "not critical"
    elif smallest > flat_below:
        kind = "minimum"
    elif largest < -flat_below:
        kind = "maximum"
    elif smallest < -flat_below and largest > flat_below:
        kind = "saddle"
    else:
        kind = "degenerate"
    return CriticalPoint(kind, norm, smallest, largest)
