"""KL sparsity: units that are active now and then."""

import math
import numbers

import keras
from keras import ops

from .penalty import Penalty


@keras.saving.register_keras_serializable(package="keras_regimen")
class KLSparsity(Penalty):
    """Penalty on units whose mean activation is not a given small share.

    Use it as the `activity_regularizer` of a layer with sigmoid outputs, as
    the code of a sparse autoencoder. Each unit's mean over the batch (and
    over positions or time steps) is compared with `target`, as the rates of
    two coins: the penalty is the sum of `KL(target || mean)` over units.

    Means are not sums over samples, so the batch size is undone: Keras
    divides what an activity regularizer returns by the batch size, and this
    one returns `batch size * strength * sum of KL`. What reaches the loss
    does not depend on the batch size (its noise does: take batches that are
    large beside `1 / target`). Under `tf.distribute` each replica takes the
    mean of its own share.

    Args:
        target: Float in `(0, 1)`. The share of time that a unit should be
            active. Default 0.05.
        strength: Float, 0 or more. Default 0.01.
        axis: Integer. The axis of the units: -1 (the default), or 1 after a
            convolution with `data_format="channels_first"`.

    Raises:
        ValueError: If an argument is outside its range, or the activations
            have no axes besides the units.

    Example:

    >>> penalty = KLSparsity(target=0.5, strength=1.0)
    >>> float(penalty(np.array([[0.2], [0.8]])))
    0.0
    >>> layer = keras.layers.Dense(
    ...     64, "sigmoid", activity_regularizer=KLSparsity(0.05))

    Reference:

    - Lee, Ekanadham and Ng, "Sparse deep belief net model for visual area
      V2", NIPS 2007, in the form of Ng, "Sparse autoencoder", CS294A lecture
      notes, 2011, whose mean is over all training data; ours is over the
      batch. Means are clipped to 1e-7 from 0 and 1: activations outside of
      `[0, 1]`, as after ReLU, are not meant.
    """

    def __init__(
        self, target: float = 0.05, strength: float = 0.01, axis: int = -1
    ):
        super().__init__(strength)
        if not (isinstance(target, numbers.Real) and 0 < target < 1):
            raise ValueError(
                "`target` must be a share in (0, 1), without its ends. "
                f"Received: target={target}"
            )
        if (
            not isinstance(axis, numbers.Integral)
            or isinstance(axis, bool)
            or axis == 0
        ):
            raise ValueError(
                "`axis` must be an integer other than 0, the batch axis. "
                f"Received: axis={axis}"
            )
        self.target = float(target)
        self.axis = int(axis)

    def measure(self, weights):
        rank = len(weights.shape)
        if not -rank < self.axis < rank:
            raise ValueError(
                f"The activations have no axis {self.axis} besides that of "
                f"the batch. Received: shape={tuple(weights.shape)}"
            )
        others = [a for a in range(rank) if a != self.axis % rank]
        # `ops.shape` and not `.shape`, whose batch size is `None` in a
        # compiled graph.
        shape = ops.shape(weights)
        # Not `ops.mean`, which is in float32 on JAX and PyTorch.
        count = ops.cast(math.prod(shape[a] for a in others), weights.dtype)
        mean = ops.sum(weights, others) / count
        mean = ops.clip(mean, 1e-7, 1 - 1e-7)
        target = self.target
        divergence = target * ops.log(target / mean)
        divergence += (1 - target) * ops.log((1 - target) / (1 - mean))
        return ops.cast(shape[0], weights.dtype) * ops.sum(divergence)

    def get_config(self):
        return {
            **super().get_config(),
            "target": self.target,
            "axis": self.axis,
        }
