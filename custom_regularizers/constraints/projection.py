"""The projection onto a simplex, and what all projections share."""

import math
import numbers
from typing import Any

import keras
from keras import ops


def checked_size(name: str, size: float) -> float:
    """Returns the argument that says how large a set is.

    Args:
        name: String. The argument's name.
        size: Positive float.

    Returns:
        `size` as a Python float.

    Raises:
        ValueError: If `size` is not a positive finite number.

    Example:

    >>> checked_size("radius", 2)
    2.0
    """
    if not (isinstance(size, numbers.Real) and 0 < size < math.inf):
        raise ValueError(
            f"`{name}` must be a positive finite number. "
            f"Received: {name}={size}"
        )
    return float(size)


def slack(weights: Any) -> float:
    """Returns by which factor rounding may take a norm over its bound.

    Without it a projected point could count as outside, and would be moved
    again and again, by a bit each time.

    Args:
        weights: Tensor, of a floating dtype.

    Returns:
        A float a little above 1.

    Example:

    >>> slack(keras.ops.ones((2,), dtype="float32")) - 1 < 1e-6
    True
    """
    dtype = keras.backend.standardize_dtype(weights.dtype)
    return 1 + 4 * (2.0**-52 if dtype == "float64" else 2.0**-23)


def onto_simplex(rows: Any, total: float) -> Any:
    """Returns the nearest points with no negative entry and a given sum.

    Args:
        rows: Tensor of shape `(rows, entries)`.
        total: Positive float. The sum of each row.

    Returns:
        A tensor of the same shape.

    Example:

    >>> nearest = onto_simplex(keras.ops.array([[2.0, 1.5, -1.0]]), 1.0)
    >>> [float(x) for x in nearest[0]]
    [0.75, 0.25, 0.0]

    Reference:

    - Duchi, Shalev-Shwartz, Singer and Chandra, "Efficient Projections onto
      the l1-Ball for Learning in High Dimensions", ICML 2008, figure 1.
    """
    # The nearest point is max(x - t, 0), with the t for which the sum is
    # right. For any j, the j largest entries give
    #     x_1 + .. + x_j - j t  <=  sum max(x_i - t, 0)  =  total,
    # so t >= (x_1 + .. + x_j - total) / j, and equality holds where j is the
    # number of positive entries: t is the largest of these bounds.
    # Differences to the largest entry, for a `total` far below the entries
    # would vanish beside them; the nearest point does not depend on a shift.
    rows = rows - ops.max(rows, -1, keepdims=True)
    fixed = ops.stop_gradient(rows)
    counts = ops.arange(1, rows.shape[-1] + 1, dtype=rows.dtype)
    sums = ops.cumsum(ops.flip(ops.sort(fixed, -1), -1), -1)
    bound = ops.max((sums - total) / counts, -1, keepdims=True)
    # Now that the support is known, t again, from its entries alone: more
    # exact than the running sum, and it has the gradient.
    support = fixed > bound
    held = ops.where(support, rows, ops.zeros_like(rows))
    size = ops.sum(ops.cast(support, rows.dtype), -1, keepdims=True)
    threshold = (ops.sum(held, -1, keepdims=True) - total) / size
    return ops.where(support, ops.relu(rows - threshold), ops.zeros_like(rows))
