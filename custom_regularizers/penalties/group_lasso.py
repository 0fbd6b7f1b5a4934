"""Group lasso: whole units go, instead of single weights."""

import math
from collections.abc import Sequence

import keras
from keras import ops

from ..incoming_weights import checked_axis, incoming_axes
from .penalty import Penalty


@keras.saving.register_keras_serializable(package="keras_regimen")
class GroupLasso(Penalty):
    """Penalty on the norms of groups of weights, such as units or filters.

    Use it to find units or channels that can be removed whole: within a group
    it shrinks as L2 does, between groups it selects as L1 does. Plain
    gradient steps bring a group close to zero, never onto it: cut where the
    norms show a gap.

    The penalty is `strength * sum(sqrt(size of group) * norm of group)`.

    Args:
        strength: Float, 0 or more. Default 0.01.
        axis: Integer, or several: the axes over which a group lies. Default
            `None`: all but the last, so that the weights into one unit or
            filter are a group. `axis=1` of a dense kernel groups the weights
            out of one input. For depthwise kernels, `(0, 1)`; for
            `embeddings`, 1: a penalty is not told which it is, so name the
            axes, unless `regularize` attaches it, which does so.

    Raises:
        ValueError: If an argument is outside its range, or the weights have
            no such axis.

    Example:

    >>> weights = np.array([[3.0, 0.0], [4.0, 0.0]])
    >>> round(float(GroupLasso(0.1)(weights) / np.sqrt(2)), 4)
    0.5

    Reference:

    - Yuan and Lin, "Model selection and estimation in regression with grouped
      variables", JRSS B 68, 2006, equation 2.1; for filters, Wen et al.,
      [2016](https://arxiv.org/abs/1608.03665), without the root of the size.
      Where a group is zero, its gradient is too (a subgradient).
    """

    def __init__(
        self, strength: float = 0.01, axis: int | Sequence[int] | None = None
    ):
        super().__init__(strength)
        self.axis = checked_axis(axis)

    def measure(self, weights):
        # Not by the variable's name, which on JAX does not get here.
        axes = incoming_axes(ops.convert_to_tensor(weights), self.axis)
        size = math.prod(weights.shape[a] for a in axes)
        squares = ops.sum(ops.square(weights), axes)
        alive = squares > 0
        # The root of 0 has an infinite gradient, and infinity times the
        # zero of the outer `where` would be NaN: hence two of them.
        norms = ops.sqrt(ops.where(alive, squares, ops.ones_like(squares)))
        norms = ops.where(alive, norms, ops.zeros_like(norms))
        return math.sqrt(size) * ops.sum(norms)

    def fitted_to(self, weights, axes):
        return self if self.axis else type(self)(self.strength, axes)

    def get_config(self):
        return {
            **super().get_config(),
            "axis": None if self.axis is None else list(self.axis),
        }
