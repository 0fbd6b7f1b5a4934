"""Max-norm: weights projected onto a ball."""

from collections.abc import Sequence

import keras
from keras import ops

from ..incoming_weights import checked_axis, in_full_precision, incoming_axes
from .projection import checked_size, slack


@keras.saving.register_keras_serializable(package="keras_regimen")
class L2Ball(keras.constraints.Constraint):
    """Keeps the Euclidean norm of each unit's incoming weights in a radius.

    The max-norm constraint: use it as a layer's `kernel_constraint`, with
    dropout and large learning rates above all. After each step of the
    optimizer, the weights of a unit that lie outside the ball are scaled back
    onto its surface; weights inside come back unchanged, to the bit. A radius
    that no unit reaches does nothing: look at the share that does.

    Args:
        radius: Positive float. The largest norm.
        axis: Integer, or several: the axes over which a unit's weights lie.
            Default `None`: all but the last, right for dense, convolutional
            and recurrent kernels; for depthwise and transposed convolutions
            and embeddings, what is right for them, if the layer's name says
            so ("depthwise" or "dw", "transpose", as Keras' own names do).
            For other names of such layers, `EinsumDense` and
            `MultiHeadAttention`, name the axes.

    Raises:
        ValueError: If an argument is outside its range, or the weights have
            no such axis.

    Example:

    >>> weights = np.array([[3.0, 0.3], [4.0, 0.4]])
    >>> projected = L2Ball(1.0)(weights)
    >>> [[round(float(w), 6) for w in row] for row in projected]
    [[0.6, 0.3], [0.8, 0.4]]

    Reference:

    - Srebro, Rennie and Jaakkola, "Maximum-Margin Matrix Factorization",
      2005; Srivastava et al., "Dropout", JMLR 15, 2014, section 5.1. As there
      the projection is exact. `keras.constraints.MaxNorm` shrinks weights
      inside the ball as well, by 1e-7 over their norm, and its default axis
      is right for dense and recurrent kernels only. What lies outside by
      rounding errors (4 units in the last place) counts as inside.
    """

    def __init__(
        self, radius: float = 1.0, axis: int | Sequence[int] | None = None
    ):
        self.radius = checked_size("radius", radius)
        self.axis = checked_axis(axis)

    def __call__(self, w):
        axes = incoming_axes(w, self.axis)
        w = ops.convert_to_tensor(w)
        full = in_full_precision(w)
        squares = ops.sum(ops.square(full), axes, keepdims=True)
        outside = ops.sqrt(squares) > self.radius * slack(full)
        # The inner `where`, since the gradient of a root at 0 is infinite,
        # and stays so, as NaN, behind the outer one.
        norms = ops.sqrt(ops.where(outside, squares, ops.ones_like(squares)))
        scaled = ops.cast(full * (self.radius / norms), w.dtype)
        return ops.where(outside, scaled, w)

    def get_config(self):
        return {
            "radius": self.radius,
            "axis": None if self.axis is None else list(self.axis),
        }
