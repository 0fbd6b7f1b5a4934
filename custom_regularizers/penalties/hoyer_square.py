"""Hoyer-Square: sparsity that does not shrink what stays."""

import keras
from keras import ops

from .penalty import Penalty


@keras.saving.register_keras_serializable(package="keras_regimen")
class HoyerSquare(Penalty):
    """Penalty on the ratio of the L1 norm to the L2 norm, squared.

    Use it in place of L1 where many weights should go and the others should
    keep their size: it does not change when all weights are scaled, lies
    between 1 (one weight left) and their number (all equal), and so counts
    weights, smoothly. Its gradient pushes weights below a threshold towards
    zero, and those above it away. For exact zeros cut small weights after
    training.

    The penalty is `strength * sum(abs(w))**2 / sum(w**2)`, over the whole
    kernel; 0 if all weights are 0.

    Args:
        strength: Float, 0 or more. Default 1e-4; the measure grows with the
            number of weights, but not with their size.

    Raises:
        ValueError: If `strength` is negative or not finite.

    Example:

    >>> penalty = HoyerSquare(1.0)
    >>> float(penalty(np.array([5.0, 0.0, 0.0, 0.0])))
    1.0
    >>> float(penalty(np.array([5.0, 5.0, 5.0, -5.0])))
    4.0

    Reference:

    - Yang, Wen and Li, "DeepHoyer: Learning Sparser Neural Network with
      Differentiable Scale-Invariant Sparsity Measures",
      [2020](https://arxiv.org/abs/1908.09979).
    """

    def __init__(self, strength: float = 1e-4):
        super().__init__(strength)

    def measure(self, weights):
        squares = ops.sum(ops.square(weights))
        # 0 / 0 where all weights are 0: a value and a gradient of 0 instead.
        squares = ops.where(squares > 0, squares, ops.ones_like(squares))
        return ops.square(ops.sum(ops.abs(weights))) / squares
