"""Which weights of a kernel belong to one unit."""

import math
import numbers
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

# Names of layers whose kernels have another shape. A variable does not know
# its layer, only its path.
_DEPTHWISE = re.compile(r"depthwise|(^|_)dw")
_TRANSPOSED = re.compile(r"transpose")


def checked_axis(axis: int | Sequence[int] | None) -> tuple[int, ...] | None:
    """Returns the argument `axis` as a tuple.

    Args:
        axis: Integer, or sequence of different integers, or `None`.

    Returns:
        A tuple of integers, or `None`.

    Raises:
        ValueError: If `axis` is something else.

    Example:

    >>> checked_axis(0), checked_axis([0, 1])
    ((0,), (0, 1))
    """
    if axis is None:
        return None
    axes = (axis,) if isinstance(axis, numbers.Integral) else axis
    if (
        not isinstance(axes, Sequence)
        or not axes
        or len(set(axes)) < len(axes)
        or not all(
            isinstance(a, numbers.Integral) and not isinstance(a, bool)
            for a in axes
        )
    ):
        raise ValueError(
            "`axis` must be an integer, several different ones, or None. "
            f"Received: axis={axis!r}"
        )
    return tuple(int(a) for a in axes)


def incoming_axes(
    weights: Any, axis: tuple[int, ...] | None = None
) -> tuple[int, ...]:
    """Returns the axes over which a unit's incoming weights lie.

    Those are all axes but the last, which counts the units: right for dense,
    convolutional and recurrent kernels. Where `weights` is a variable, its
    path tells of others: depthwise kernels (a variable `depthwise_kernel`, or
    a layer with "depthwise" or "dw" in its name), kernels of transposed
    convolutions ("transpose" in the layer's name), and `embeddings`, whose
    units are their rows.

    Args:
        weights: A variable, tensor or array, of rank 1 or more.
        axis: Tuple. What to return instead of all that; `None` to choose.

    Returns:
        A sorted tuple of axes, none of them negative.

    Raises:
        ValueError: If `weights` has no such axis.

    Example:

    >>> incoming_axes(np.ones((3, 3, 8, 16)))
    (0, 1, 2)
    >>> layer = keras.layers.DepthwiseConv2D(3, name="depthwise")
    >>> layer.build((None, 9, 9, 8))
    >>> incoming_axes(layer.kernel)
    (0, 1)
    """
    rank = len(weights.shape)
    if axis is not None:
        if not all(-rank <= a < rank for a in axis) or len(
            {a % rank for a in axis}
        ) < len(axis):
            raise ValueError(
                f"`axis` must name different axes of the weights, of rank "
                f"{rank}. Received: axis={axis}, shape={tuple(weights.shape)}"
            )
        return tuple(sorted(a % rank for a in axis))
    if not rank:
        raise ValueError(
            "The weights must have at least one axis. Received: a scalar"
        )
    axes = tuple(range(rank))
    if rank == 1:
        return axes
    # Keras' variables have both; on their own they may have neither.
    name = getattr(weights, "name", None) or ""
    path = getattr(weights, "path", None) or ""
    layer = path.split("/")[-2] if "/" in path else ""
    if name == "embeddings":
        return axes[1:]
    if rank >= 3 and name == "depthwise_kernel":
        return axes[:-2]
    if rank >= 3 and name == "kernel" and _DEPTHWISE.search(layer):
        return axes[:-2]
    if rank >= 3 and name == "kernel" and _TRANSPOSED.search(layer):
        return (*axes[:-2], axes[-1])
    return axes[:-1]


def as_rows(
    weights: Any, axes: tuple[int, ...]
) -> tuple[Any, Callable[[Any], Any]]:
    """Returns a matrix with a row for each unit, and the way back.

    Args:
        weights: A tensor.
        axes: Tuple. The axes over which a unit's weights lie.

    Returns:
        A pair of the matrix, of shape `(units, weights of a unit)`, and a
        function that gives a matrix of its shape the shape of `weights`.

    Example:

    >>> rows, restored = as_rows(keras.ops.ones((3, 3, 8, 16)), (0, 1, 2))
    >>> tuple(rows.shape), tuple(restored(rows).shape)
    ((16, 72), (3, 3, 8, 16))
    """
    shape = tuple(weights.shape)
    order = [a for a in range(len(shape)) if a not in axes] + list(axes)
    inverse = [order.index(a) for a in range(len(shape))]
    moved = [shape[a] for a in order]
    size = math.prod(shape[a] for a in axes)

    def restored(rows):
        return ops.transpose(ops.reshape(rows, moved), inverse)

    return ops.reshape(ops.transpose(weights, order), (-1, size)), restored


def in_full_precision(weights: Any) -> Any:
    """Returns weights as a tensor whose sums can be trusted.

    Args:
        weights: A variable, tensor or array.

    Returns:
        A tensor in float64 if `weights` are, otherwise in float32.

    Example:

    >>> half = keras.ops.ones((2,), dtype="bfloat16")
    >>> keras.backend.standardize_dtype(in_full_precision(half).dtype)
    'float32'
    """
    weights = ops.convert_to_tensor(weights)
    # Not `result_type`, which makes float32 of float64 on JAX and PyTorch.
    dtype = keras.backend.standardize_dtype(weights.dtype)
    return ops.cast(weights, "float64" if dtype == "float64" else "float32")
