"""How much longer a loss' valley is than wide."""

import numpy as np

from .hessian_eigenvalues import hessian_eigenvalues


def condition_number(loss, variables, max_products: int = 500) -> float:
    """Returns the ratio of a Hessian's largest to its smallest eigenvalue.

    Use it near a minimum, to see how slowly gradient descent must be: the
    number of its steps grows with the condition number, that of momentum and
    conjugate gradients with its square root.

    Args:
        loss: Function without arguments that reads `variables` and returns a
            scalar tensor.
        variables: Non-empty list of float `keras.Variable`s.
        max_products: Positive integer, the products of the Hessian with a
            vector that each of the two ends may cost. Default 500.

    Returns:
        Float of at least 1: infinite where the smallest eigenvalue cannot be
        told from 0 in the precision of the weights.

    Raises:
        ValueError: If the Hessian has a negative eigenvalue: away from a
            minimum there is no valley. `classify_critical_point` says more.

    Example:

    >>> w = keras.Variable([1.0, 1.0])
    >>> loss = lambda: 50 * w[0] ** 2 + 0.5 * w[1] ** 2
    >>> round(condition_number(loss, [w]), 2)
    100.0

    Reference:

    - Goodfellow, Bengio and Courville, "Deep Learning", 2016, section 4.2.
      There it is the ratio of absolute values, for any matrix; ours is that
      of a minimum.
    """
    largest, smallest = (
        hessian_eigenvalues(
            loss,
            variables,
            which=which,
            max_products=max_products,
            # The smaller end is measured by the larger one.
            tolerance=1e-5,
        ).values[0]
        for which in ("largest", "smallest")
    )
    rounding = 10 * np.finfo(smallest.dtype).eps * abs(largest)
    if smallest < -rounding:
        raise ValueError(
            "`loss` must curve upwards in every direction where its condition "
            "number is asked for. Received: a Hessian with eigenvalues from "
            f"{smallest:.3g} to {largest:.3g}"
        )
    return float(largest / smallest) if smallest > rounding else float("inf")
