"""Batch normalization that trains with almost its inference statistics."""

import math
import numbers

import keras
from keras import ops

from .unbiased_batch_normalization import UnbiasedBatchNormalization


@keras.saving.register_keras_serializable(package="keras_regimen")
class BatchRenormalization(UnbiasedBatchNormalization):
    """Batch normalization for batches that are small or not shuffled.

    Use it where the statistics of a batch say little of those of the data:
    with four samples, or with all samples of a batch from few classes. While
    training, what batch normalization gives is scaled by `r` and shifted by
    `d`, which take it to the moving statistics, so that a sample is treated
    in training as it is at inference. Gradients flow through the statistics
    of the batch; `r` and `d` count as constants.

    `r` is clipped to `[1 / r_max, r_max]` and `d` to `[-d_max, d_max]`. The
    layer counts its training calls and relaxes both limits linearly, from
    plain batch normalization (1 and 0) to `r_max` and `d_max`, since
    early on the moving statistics lag behind the weights. Without limits,
    as `keras.layers.BatchNormalization(renorm=True)` has it, stochastic
    gradient descent diverges on batches of four. The default ramp is the
    paper's, for 100,000 steps or more: **scale it to your training**; one
    shorter than `ramp_start` is plain batch normalization.

    The moving variance is the square of the moving average of the standard
    deviation, without `epsilon`: gamma, beta and both moving statistics may
    be copied from batch normalization and back. A batch with one value in a
    channel moves the mean alone, one that is masked completely moves neither.
    Masks, means far above the deviation and mixed precision are handled as in
    `UnbiasedBatchNormalization`.

    Args:
        axis: Integer. The channel axis. -1 (the default) is the last; use 1
            after a convolution with `data_format="channels_first"`.
        momentum: Float in `[0, 1]`. The share of the moving statistics that
            is kept at each step. Lower values follow the weights faster and
            are noisier, in training too. Default 0.99.
        epsilon: Positive float. Added to the variance. Default 1e-3.
        r_max: Float of at least 1. The last limit of the scale. Default 3.
        d_max: Float of at least 0. The last limit of the shift, in standard
            deviations. Default 5. With `r_max=1` and `d_max=0` the layer
            trains as batch normalization does.
        ramp_start: Integer of at least 0. The training steps before the
            limits are relaxed. Default 5,000.
        r_ramp_end: Integer from `ramp_start` to 2**24. The step at which
            `r_max` is reached; 0 (all three 0) means from the first.
            Default 40,000.
        d_ramp_end: The same for `d_max`. Default 25,000.
        center: Boolean. Whether to add a learned `beta`. Default `True`.
        scale: Boolean. Whether to multiply by a learned `gamma`. Default
            `True`.
        **kwargs: The other arguments of `keras.layers.BatchNormalization`
            (initializers, regularizers and constraints, `synchronized`) and
            those of the base layer. `synchronized` is as in
            `UnbiasedBatchNormalization`; `renorm` is refused.

    Call arguments:
        inputs: Float tensor of rank 2 or more. The batch size may change
            between calls.
        training: Boolean. If `True` (and `trainable` is), statistics of the
            batch are used and corrected, otherwise the moving ones.
        mask: Optional boolean tensor that is `True` where a value counts in
            the statistics: of the inputs' rank and broadcastable to them, or
            for their leading axes without the channels, such as
            `(batch, time)`.

    Returns:
        Float tensor of the same shape as `inputs`.

    Raises:
        ValueError: If an argument is outside its range, `renorm` is set,
            `synchronized` is set on another backend than TensorFlow, or the
            channel axis is missing from the inputs or of unknown size.

    Example:

    >>> layer = BatchRenormalization(ramp_start=0, r_ramp_end=0, d_ramp_end=0)
    >>> x = keras.ops.array([[1.0], [2.0]])
    >>> y = layer(x, training=True)  # Near the moving mean 0 and variance 1:
    >>> [round(float(value), 2) for value in y[:, 0]]  # no limit is reached.
    [1.0, 2.0]

    Reference:

    - Ioffe, "Batch Renormalization: Towards Reducing Minibatch Dependence in
      Batch-Normalized Models", [2017](https://arxiv.org/abs/1702.03275),
      algorithm 1, with the ramp of section 4. As there, one pair of moving
      statistics serves training and inference (Keras keeps two).
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        r_max: float = 3.0,
        d_max: float = 5.0,
        ramp_start: int = 5_000,
        r_ramp_end: int = 40_000,
        d_ramp_end: int = 25_000,
        center: bool = True,
        scale: bool = True,
        **kwargs,
    ):
        super().__init__(axis, momentum, epsilon, center, scale, **kwargs)
        for name, limit, least in (("r_max", r_max, 1), ("d_max", d_max, 0)):
            if not (
                isinstance(limit, numbers.Real) and least <= limit < math.inf
            ):
                raise ValueError(
                    f"`{name}` must be a finite number of at least {least}. "
                    f"Received: {name}={limit}"
                )
        # The counter is float32, which counts to 2**24.
        for name, step, least in (
            ("ramp_start", ramp_start, 0),
            ("r_ramp_end", r_ramp_end, ramp_start),
            ("d_ramp_end", d_ramp_end, ramp_start),
        ):
            if not (
                isinstance(step, numbers.Integral) and least <= step <= 2**24
            ):
                raise ValueError(
                    f"`{name}` must be a number of steps, an integer in "
                    f"[{least}, 2**24]; no ramp ends before it starts. "
                    f"Received: {name}={step}"
                )
        self.r_max = float(r_max)
        self.d_max = float(d_max)
        self.ramp_start = int(ramp_start)
        self.r_ramp_end = int(r_ramp_end)
        self.d_ramp_end = int(d_ramp_end)

    def build(self, input_shape):
        super().build(input_shape)
        self.step = self.add_weight(
            shape=(),
            name="step",
            initializer="zeros",
            trainable=False,
            autocast=False,
        )

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable):
            return super().call(inputs, training=False)
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        inputs = ops.cast(inputs, dtype)
        shape = [1] * len(inputs.shape)
        shape[self.axis] = inputs.shape[self.axis]

        def broadcast(variable):  # (channels,) to (1, ..., channels, ..., 1)
            return ops.reshape(ops.cast(variable, dtype), shape)

        mean, variance, count, shifted, rest = self._moments(inputs, mask)
        stddev = ops.stop_gradient(ops.sqrt(variance + self.epsilon))
        old_variance = broadcast(self.moving_variance)
        old_stddev = ops.sqrt(old_variance + self.epsilon)
        distance = ops.stop_gradient(mean) - broadcast(self.moving_mean)
        r_max = 1 + (self.r_max - 1) * self._progress(self.r_ramp_end, dtype)
        d_max = self.d_max * self._progress(self.d_ramp_end, dtype)
        r = ops.clip(stddev / old_stddev, 1 / r_max, r_max)
        d = ops.clip(distance / old_stddev, -d_max, d_max)

        factor, offset = r * ops.rsqrt(variance + self.epsilon), d
        if self.scale:
            gamma = broadcast(self.gamma)
            factor, offset = factor * gamma, offset * gamma
        if self.center:
            offset = offset + broadcast(self.beta)
        outputs = shifted * factor + (offset - rest * factor)

        self._move(self.moving_mean, mean, count >= 1)
        # The standard deviation is what moves. Between replicas, the mean of
        # its squares is off by (1 - momentum)^2 times their variance.
        new = old_stddev * self.momentum + stddev * (1 - self.momentum)
        new = ops.maximum(ops.square(new) - self.epsilon, 0)
        new = ops.where(count >= 2, new, old_variance)
        self.moving_variance.assign(
            ops.reshape(new, self.moving_variance.shape)
        )
        self.step.assign(self.step + 1)
        return ops.cast(outputs, self.compute_dtype)

    def _progress(self, end, dtype):
        """Returns the share of a ramp, from 0 to 1, that lies behind."""
        step, length = ops.cast(self.step, dtype), end - self.ramp_start
        share = ops.clip((step - self.ramp_start) / max(length, 1), 0, 1)
        return ops.where(step >= end, ops.ones_like(share), share)

    def get_config(self):
        return {
            **super().get_config(),
            "r_max": self.r_max,
            "d_max": self.d_max,
            "ramp_start": self.ramp_start,
            "r_ramp_end": self.r_ramp_end,
            "d_ramp_end": self.d_ramp_end,
        }
