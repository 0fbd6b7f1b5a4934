"""Weights projected onto a simplex: shares of a whole."""

from collections.abc import Sequence

import keras
from keras import ops

from ..incoming_weights import (
    as_rows,
    checked_axis,
    in_full_precision,
    incoming_axes,
)
from .projection import checked_size, onto_simplex, slack


@keras.saving.register_keras_serializable(package="keras_regimen")
class Simplex(keras.constraints.Constraint):
    """Makes each unit's incoming weights shares: none negative, sum fixed.

    Use it as a layer's `kernel_constraint` where each unit mixes its inputs,
    as in a learned average of several models' predictions. What lies outside
    moves to the nearest point of the simplex, which can have exact zeros
    (those of a softmax never are); weights on it come back unchanged, to the
    bit.

    Args:
        total: Positive float. The sum of a unit's weights. Default 1.
        axis: Integer, or several: the axes over which a unit's weights lie.
            Default `None`: chosen as by `L2Ball`.

    Raises:
        ValueError: If an argument is outside its range, or the weights have
            no such axis.

    Example:

    >>> projected = Simplex()(np.array([[2.0], [1.5], [-1.0]]))
    >>> [float(w) for w in projected[:, 0]]
    [0.75, 0.25, 0.0]

    Reference:

    - Duchi, Shalev-Shwartz, Singer and Chandra, "Efficient Projections onto
      the l1-Ball for Learning in High Dimensions", ICML 2008, figure 1. As
      there, by one sort.
    """

    def __init__(
        self, total: float = 1.0, axis: int | Sequence[int] | None = None
    ):
        self.total = checked_size("total", total)
        self.axis = checked_axis(axis)

    def __call__(self, w):
        axes = incoming_axes(w, self.axis)
        w = ops.convert_to_tensor(w)
        rows, restored = as_rows(w, axes)
        full = in_full_precision(rows)
        error = ops.abs(ops.sum(full, -1, keepdims=True) - self.total)
        outside = ops.logical_or(
            ops.any(full < 0, -1, keepdims=True),
            error > self.total * (slack(full) - 1),
        )
        nearest = ops.cast(onto_simplex(full, self.total), w.dtype)
        return restored(ops.where(outside, nearest, rows))

    def get_config(self):
        return {
            "total": self.total,
            "axis": None if self.axis is None else list(self.axis),
        }
