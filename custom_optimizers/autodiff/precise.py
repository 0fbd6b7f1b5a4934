"""Operations that keep float64, which Keras' own cast away.

On JAX and PyTorch `keras.ops` takes every 64-bit result of a promotion down to
32 bits, in `matmul`, `maximum` and `norm` even where nothing is promoted. What
stands here is made of operators that do not.
"""

from keras import ops


def times(matrix, vector):
    """Returns the product of a matrix with a vector.

    Args:
        matrix: Tensor `(rows, columns)`.
        vector: Tensor `(columns,)` of its dtype.

    Returns:
        Tensor `(rows,)`.

    Example:

    >>> [float(x) for x in times(2 * keras.ops.eye(2), keras.ops.ones(2))]
    [2.0, 2.0]
    """
    return (matrix @ vector[:, None])[:, 0]


def length(vector):
    """Returns a vector's Euclidean length.

    Args:
        vector: Tensor `(size,)`.

    Returns:
        Scalar tensor.

    Example:

    >>> float(length(keras.ops.array([3.0, 4.0])))
    5.0
    """
    return ops.sqrt(ops.sum(vector * vector))


def larger(a, b):
    """Returns the larger of two scalars, elementwise.

    Args:
        a: Tensor.
        b: Tensor of its dtype, or a number.

    Returns:
        Tensor.

    Example:

    >>> float(larger(keras.ops.array(2.0), 1.0))
    2.0
    """
    return ops.where(a > b, a, b)


def smaller(a, b):
    """Returns the smaller of two scalars, elementwise.

    Args:
        a: Tensor.
        b: Tensor of its dtype, or a number.

    Returns:
        Tensor.

    Example:

    >>> float(smaller(keras.ops.array(2.0), 1.0))
    1.0
    """
    return ops.where(a < b, a, b)
