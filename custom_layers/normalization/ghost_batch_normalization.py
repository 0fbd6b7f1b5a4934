"""Batch normalization over small parts of a large batch."""

import math
import numbers

import keras
from keras import ops

from .unbiased_batch_normalization import UnbiasedBatchNormalization


@keras.saving.register_keras_serializable(package="keras_regimen")
class GhostBatchNormalization(UnbiasedBatchNormalization):
    """Batch normalization whose statistics come from parts of the batch.

    Use it in place of batch normalization where batches are large. While
    training, the batch is cut, in its order, into ghost batches of
    `virtual_batch_size` samples, and each is normalized by itself: the noise
    of small batches, which helps generalization, stays while the batch grows.
    At inference it is batch normalization with moving statistics, for any
    batch size.

    The moving statistics move once for each ghost batch, as if these had come
    one after the other, so `momentum` means what it means with small batches.
    The last ghost batch holds what is left and moves them as the others do.
    Choose sizes that do not leave one sample over: without spatial axes, a
    ghost batch of one is normalized to `beta`.

    Masks, means far above the deviation and mixed precision are handled as in
    `UnbiasedBatchNormalization`; the moving variance is unbiased as there.

    Args:
        virtual_batch_size: Positive integer. The number of samples in a ghost
            batch. From the batch size on, the layer is
            `UnbiasedBatchNormalization`.
        axis: Integer. The channel axis, never the batch axis 0. -1 (the
            default) is the last; use 1 after a convolution with
            `data_format="channels_first"`.
        momentum: Float in `[0, 1]`. The share of the moving statistics that
            each ghost batch leaves. Default 0.99.
        epsilon: Positive float. Added to the variance. Default 1e-3.
        center: Boolean. Whether to add a learned `beta`. Default `True`.
        scale: Boolean. Whether to multiply by a learned `gamma`. Default
            `True`.
        **kwargs: The other arguments of `keras.layers.BatchNormalization`
            (initializers, regularizers and constraints) and those of the base
            layer. `synchronized=True` is refused: under `tf.distribute` each
            replica cuts its own share, and the moving statistics are the mean
            over replicas. `renorm=True` is refused too.

    Call arguments:
        inputs: Float tensor of shape `(batch, ...)`, of rank 2 or more. The
            batch size may change between calls.
        training: Boolean. If `True` (and `trainable` is), statistics of the
            ghost batches are used, otherwise the moving ones.
        mask: Optional boolean tensor that is `True` where a value counts in
            the statistics: of the inputs' rank and broadcastable to them, or
            for their leading axes without the channels, such as
            `(batch, time)`.

    Returns:
        Float tensor of the same shape as `inputs`.

    Raises:
        ValueError: If an argument is outside its range, `renorm` or
            `synchronized` is set, or the channel axis is the batch axis,
            missing from the inputs or of unknown size.

    Example:

    >>> layer = GhostBatchNormalization(virtual_batch_size=2)
    >>> x = keras.ops.array([[1.0], [3.0], [10.0], [30.0]])
    >>> [round(float(y), 2) for y in layer(x, training=True)[:, 0]]
    [-1.0, 1.0, -1.0, 1.0]

    Reference:

    - Hoffer, Hubara and Soudry, "Train longer, generalize better: closing the
      generalization gap in large batch training of neural networks",
      [2017](https://arxiv.org/abs/1705.08741), algorithm 1. It averages
      standard deviations with weights that do not add up to one; we average
      unbiased variances with those of one ghost batch after the other.
    """

    def __init__(
        self,
        virtual_batch_size: int,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **kwargs,
    ):
        if (
            not isinstance(virtual_batch_size, numbers.Integral)
            or isinstance(virtual_batch_size, bool)
            or virtual_batch_size < 1
        ):
            raise ValueError(
                "`virtual_batch_size` must be a positive integer, the samples "
                "in a ghost batch. "
                f"Received: virtual_batch_size={virtual_batch_size}"
            )
        if kwargs.get("synchronized"):
            raise ValueError(
                "`synchronized` is not supported: a ghost batch lies on one "
                "replica. Use `UnbiasedBatchNormalization(synchronized=True)`. "
                f"Received: synchronized={kwargs['synchronized']}"
            )
        super().__init__(axis, momentum, epsilon, center, scale, **kwargs)
        self.virtual_batch_size = int(virtual_batch_size)

    def build(self, input_shape):
        if self.axis in (0, -len(input_shape)):
            raise ValueError(
                f"`axis={self.axis}` is the batch axis, which is cut into "
                "ghost batches. It must name the channels. "
                f"Received: inputs of shape {tuple(input_shape)}"
            )
        super().build(input_shape)

    def call(self, inputs, training=None, mask=None):
        # In a compiled graph the batch size may be a tensor.
        batch, size = ops.shape(inputs)[0], self.virtual_batch_size
        alone = isinstance(batch, int) and batch <= size
        if alone or not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        inputs = ops.cast(inputs, dtype)
        rank, missing = len(inputs.shape), -batch % size
        channels = self.axis % rank
        positions = [axis for axis in range(1, rank) if axis != channels]
        if mask is not None:
            mask = self._broadcast_mask(mask, inputs)

        def total(values):  # To one row for each ghost batch.
            if mask is not None:
                values = ops.where(mask, values, 0)
            # Positions first: what is then padded and cut is small.
            if positions:
                values = ops.sum(values, positions, keepdims=True)
            if not isinstance(missing, int) or missing:
                rest = ops.zeros((missing, *values.shape[1:]), dtype)
                values = ops.concatenate([values, rest])
            values = ops.reshape(values, (-1, size, *values.shape[1:]))
            return ops.sum(values, 1)

        def spread(statistics):  # To one row for each sample.
            # Not by `repeat`, which XLA would fuse into what reads the rows,
            # with a division for each value.
            return ops.take(statistics, ops.arange(batch) // size, axis=0)

        def broadcast(variable):
            variable = ops.cast(variable, dtype)
            return ops.reshape(variable, (-1, *[1] * (rank - channels - 1)))

        if mask is not None:
            count = total(ops.ones_like(inputs))
        else:
            samples = ops.arange(0, batch + missing, size)
            samples = ops.minimum(batch - samples, size)
            count = samples * math.prod(ops.shape(inputs)[a] for a in positions)
            count = ops.reshape(ops.cast(count, dtype), (-1, *[1] * (rank - 1)))

        def average(values):
            return total(values) / ops.maximum(count, 1)

        # Centered, then squared, and centered twice: as in
        # `UnbiasedBatchNormalization`. What the shift leaves of the mean is
        # so small that its square may be subtracted. The shift changes no
        # result, so it needs no gradient.
        shift = ops.stop_gradient(average(inputs))
        inputs = inputs - spread(shift)
        rest = average(inputs)
        variance = average(ops.square(inputs)) - ops.square(rest)
        unbiased = variance * (count / ops.maximum(count - 1, 1))
        self._move(self.moving_mean, shift + rest, count >= 1)
        self._move(self.moving_variance, unbiased, count >= 2)

        factor = ops.rsqrt(variance + self.epsilon)
        if self.scale:
            factor = factor * broadcast(self.gamma)
        offset = -rest * factor
        if self.center:
            offset = offset + broadcast(self.beta)
        outputs = inputs * spread(factor) + spread(offset)
        return ops.cast(outputs, self.compute_dtype)

    def _move(self, moving, new, enough):
        # One step after the other, in closed form: what a ghost batch brings
        # is kept at each of the later steps.
        new, enough = (
            ops.reshape(x, (-1, math.prod(x.shape[1:]))) for x in (new, enough)
        )
        steps = ops.cast(enough, new.dtype)
        num_steps = ops.sum(steps, 0)
        later = num_steps - ops.cumsum(steps, 0)
        weights = (1 - self.momentum) * ops.power(self.momentum, later) * steps
        old = ops.cast(moving, new.dtype) * ops.power(self.momentum, num_steps)
        moving.assign(old + ops.sum(weights * new, 0))

    def get_config(self):
        return {
            **super().get_config(),
            "virtual_batch_size": self.virtual_batch_size,
        }
