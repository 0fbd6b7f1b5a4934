"""Weights projected onto a ball of the L1 norm: some become zero."""

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
class L1Ball(keras.constraints.Constraint):
    """Keeps the sum of each unit's absolute incoming weights in a radius.

    Use it as a layer's `kernel_constraint` for units with few inputs: what
    lies outside the ball moves to its nearest point, whose small weights are
    exactly zero (an L1 penalty under Adam gives none). Weights inside come
    back unchanged, to the bit.

    Args:
        radius: Positive float. The largest sum of absolute weights.
        axis: Integer, or several: the axes over which a unit's weights lie.
            Default `None`: chosen as by `L2Ball`.

    Raises:
        ValueError: If an argument is outside its range, or the weights have
            no such axis.

    Example:

    >>> projected = L1Ball(1.0)(np.array([[2.0], [-1.5], [0.5]]))
    >>> [float(w) for w in projected[:, 0]]
    [0.75, -0.25, 0.0]

    Reference:

    - Duchi, Shalev-Shwartz, Singer and Chandra, "Efficient Projections onto
      the l1-Ball for Learning in High Dimensions", ICML 2008, section 4. As
      there, by one sort.
    """

    def __init__(
        self, radius: float = 1.0, axis: int | Sequence[int] | None = None
    ):
        self.radius = checked_size("radius", radius)
        self.axis = checked_axis(axis)

    def __call__(self, w):
        axes = incoming_axes(w, self.axis)
        w = ops.convert_to_tensor(w)
        rows, restored = as_rows(w, axes)
        full = in_full_precision(rows)
        sizes = ops.abs(full)
        outside = ops.sum(sizes, -1, keepdims=True) > self.radius * slack(full)
        # The signs of the weights do not change.
        nearest = ops.sign(full) * onto_simplex(sizes, self.radius)
        return restored(ops.where(outside, ops.cast(nearest, w.dtype), rows))

    def get_config(self):
        return {
            "radius": self.radius,
            "axis": None if self.axis is None else list(self.axis),
        }
