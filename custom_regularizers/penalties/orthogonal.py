"""Orthogonality: units that look at different things."""

from collections.abc import Sequence

import keras
from keras import ops

from ..incoming_weights import as_rows, checked_axis, incoming_axes
from .penalty import Penalty


@keras.saving.register_keras_serializable(package="keras_regimen")
class Orthogonal(Penalty):
    """Penalty on the distance of a kernel's Gram matrix from the identity.

    Use it in deep nets, to keep signals and gradients from growing or
    vanishing, and units from doubling each other. A convolution's kernel
    counts as the matrix of its filters. The penalty is
    `strength * sum((W Wᵀ - I)**2)`, where each row of W holds a unit's
    incoming weights; if there are more units than weights of each, `Wᵀ W`
    takes the place of `W Wᵀ`, since the rows cannot all be orthogonal.

    `keras.regularizers.OrthogonalRegularizer` takes matrices only, and leaves
    the length of the rows free; here it should be 1.

    Args:
        strength: Float, 0 or more. Default 0.01.
        axis: Integer, or several: the axes over which a unit's weights lie.
            Default `None`: all but the last. (In depthwise kernels, each
            channel has units of its own: better no such penalty there.)

    Raises:
        ValueError: If an argument is outside its range, or the weights have
            no such axis.

    Example:

    >>> penalty = Orthogonal(1.0)
    >>> float(penalty(np.eye(3))), float(penalty(2 * np.eye(3)))
    (0.0, 27.0)

    Reference:

    - Bansal, Chen and Wang, "Can We Gain More from Orthogonality
      Regularizations in Training Deep CNNs?",
      [2018](https://arxiv.org/abs/1810.09102). Their soft orthogonality
      takes the same Gram matrix whatever the shape, their double soft
      orthogonality adds both; we take the one that can be the identity.
    """

    def __init__(
        self, strength: float = 0.01, axis: int | Sequence[int] | None = None
    ):
        super().__init__(strength)
        self.axis = checked_axis(axis)

    def measure(self, weights):
        axes = incoming_axes(ops.convert_to_tensor(weights), self.axis)
        rows, _ = as_rows(weights, axes)
        num_units, size = rows.shape
        columns = ops.transpose(rows)
        wide = num_units <= size
        gram = ops.matmul(rows, columns) if wide else ops.matmul(columns, rows)
        identity = ops.eye(min(num_units, size), dtype=gram.dtype)
        return ops.sum(ops.square(gram - identity))

    def fitted_to(self, weights, axes):
        return self if self.axis else type(self)(self.strength, axes)

    def get_config(self):
        return {
            **super().get_config(),
            "axis": None if self.axis is None else list(self.axis),
        }
