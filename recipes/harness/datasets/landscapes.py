"""Functions that optimizers are tested on."""

from typing import Any

import numpy as np


def rosenbrock(x: Any) -> Any:
    """Rosenbrock's curved valley, in any number of dimensions.

    `sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2)`: the valley is
    found at once and followed slowly. The minimum is 0 at `(1, ..., 1)`; from
    4 dimensions on there is a second, local one near `(-1, 1, ..., 1)`. The
    usual start is `rosenbrock_start()`.

    Args:
        x: Vector with 2 or more components: a NumPy array, a tensor of any
            backend (a compiled one too) or a `keras.Variable`.

    Returns:
        A scalar of the same kind.

    Raises:
        ValueError: If `x` is not a vector of 2 or more components.

    Example:

    >>> float(rosenbrock(np.ones(5)))
    0.0
    >>> round(float(rosenbrock(rosenbrock_start())), 1)
    24.2

    Reference:

    - Rosenbrock, 1960, "An automatic method for finding the greatest or least
      value of a function", The Computer Journal 3, p. 175, in 2 dimensions;
      in more as `scipy.optimize.rosen`.
    """
    if len(x.shape) != 1 or x.shape[0] < 2:
        raise ValueError(
            "`x` must be a vector of 2 or more components. "
            f"Received: x of shape {tuple(x.shape)}"
        )
    head, tail = x[:-1], x[1:]
    terms = 100 * (tail - head**2) ** 2 + (1 - head) ** 2
    # Python's sum of single terms, since backends name theirs differently.
    return sum(terms[i] for i in range(x.shape[0] - 1))


def rosenbrock_start(dimensions: int = 2) -> np.ndarray:
    """Returns the usual start for `rosenbrock`: -1.2, 1, -1.2, 1, and so on.

    Args:
        dimensions: Integer, 2 or more.

    Returns:
        Float64 array of shape `(dimensions,)`.

    Raises:
        ValueError: If `dimensions` is less than 2.

    Example:

    >>> rosenbrock_start(3)
    array([-1.2,  1. , -1.2])

    Reference:

    - More, Garbow and Hillstrom, 1981, "Testing unconstrained optimization
      software", function 21, https://doi.org/10.1145/355934.355936.
    """
    if dimensions < 2:
        raise ValueError(
            "`dimensions` must be an integer of 2 or more. "
            f"Received: dimensions={dimensions!r}"
        )
    return np.resize([-1.2, 1.0], dimensions)
