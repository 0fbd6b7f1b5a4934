"""Batch normalization that takes off the mean and leaves the variance."""

import numbers

import keras
from keras import ops

from .masked_mean import align_mask, masked_mean


@keras.saving.register_keras_serializable(package="keras_regimen")
class MeanOnlyBatchNormalization(keras.layers.Layer):
    """Subtracts the mean of the batch, and divides by nothing.

    Use it after a layer with weight normalization, which already fixes the
    scale of its outputs: `WeightNormalization(Dense(64, use_bias=False))`.
    While training, each channel is centered with the mean of the batch, so
    gradients are centered too; at inference, with the moving mean. The noise
    that it brings is much lighter than batch normalization's. Unlike there,
    the outputs scale with the inputs, and a batch of one sample, without
    spatial axes, gives `beta`.

    Statistics are float32 whatever the policy. A batch that is masked
    completely moves nothing. With `trainable=False` the moving mean is used
    in training too, as Keras' batch normalization has it.

    Args:
        axis: Integer. The channel axis. -1 (the default) is the last; use 1
            after a convolution with `data_format="channels_first"`.
        momentum: Float in `[0, 1]`. The share of the moving mean that is kept
            at each step. Default 0.99.
        center: Boolean. Whether to add a learned `beta`. Default `True`.
        beta_initializer: Keras initializer. Default `"zeros"`.
        moving_mean_initializer: Keras initializer. Default `"zeros"`.
        beta_regularizer: Optional Keras regularizer.
        beta_constraint: Optional Keras constraint.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of rank 2 or more. The batch size may change
            between calls. Under `tf.distribute` each replica takes the mean
            of its own share, and the moving mean is the mean over replicas.
        training: Boolean. If `True` (and `trainable` is), the mean of the
            batch is used, otherwise the moving one.
        mask: Optional boolean tensor that is `True` where a value counts in
            the mean: of the inputs' rank and broadcastable to them, or for
            their leading axes without the channels, such as `(batch, time)`.

    Returns:
        Float tensor of the same shape as `inputs`.

    Raises:
        ValueError: If `axis` is no integer, `momentum` is outside `[0, 1]`,
            or the channel axis is missing from the inputs or of unknown size.

    Example:

    >>> layer = MeanOnlyBatchNormalization()
    >>> y = layer(keras.ops.array([[1.0], [4.0]]), training=True)
    >>> [float(value) for value in y[:, 0]]
    [-1.5, 1.5]

    Reference:

    - Salimans and Kingma, "Weight Normalization: A Simple Reparameterization
      to Accelerate Training of Deep Neural Networks",
      [2016](https://arxiv.org/abs/1602.07868), section 3. The paper
      normalizes weights in the same layer; we leave that to a wrapper.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        center: bool = True,
        beta_initializer="zeros",
        moving_mean_initializer="zeros",
        beta_regularizer=None,
        beta_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(axis, numbers.Integral):
            raise ValueError(
                "`axis` must be an integer, the channel axis. "
                f"Received: axis={axis}"
            )
        if not (isinstance(momentum, numbers.Real) and 0 <= momentum <= 1):
            raise ValueError(
                "`momentum` must be the share in [0, 1] of the moving mean to "
                f"keep. Received: momentum={momentum}"
            )
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.center = center
        self.beta_initializer = keras.initializers.get(beta_initializer)
        self.moving_mean_initializer = keras.initializers.get(
            moving_mean_initializer
        )
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)
        self.beta_constraint = keras.constraints.get(beta_constraint)
        self.supports_masking = True

    def build(self, input_shape):
        rank = len(input_shape)
        if not -rank <= self.axis < rank or input_shape[self.axis] is None:
            raise ValueError(
                f"`axis={self.axis}` must name an axis of known size, the "
                f"channels. Received: inputs of shape {tuple(input_shape)}"
            )
        channels = (input_shape[self.axis],)
        if self.center:
            self.beta = self.add_weight(
                shape=channels,
                name="beta",
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )
        self.moving_mean = self.add_weight(
            shape=channels,
            name="moving_mean",
            dtype=keras.backend.result_type(self.variable_dtype, "float32"),
            initializer=self.moving_mean_initializer,
            trainable=False,
            autocast=False,
            # Keras' default keeps what replica 0 saw.
            aggregation="mean",
        )

    def call(self, inputs, training=None, mask=None):
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        inputs = ops.cast(inputs, dtype)
        rank = len(inputs.shape)
        shape = [1] * rank
        shape[self.axis] = inputs.shape[self.axis]
        old = ops.reshape(ops.cast(self.moving_mean, dtype), shape)
        if training and self.trainable:
            axes = [axis for axis in range(rank) if axis != self.axis % rank]
            if mask is not None:
                mask = align_mask(mask, inputs, self.axis)
            # Twice: a float32 sum of many values with a large mean is off by
            # more than their deviation, a sum of the rest is not. The first
            # shift changes no result, so it needs no gradient.
            shift = ops.stop_gradient(masked_mean(inputs, axes, mask))
            outputs = inputs - shift
            rest = masked_mean(outputs, axes, mask)
            outputs = outputs - rest
            new = old * self.momentum + (shift + rest) * (1 - self.momentum)
            if mask is not None:
                new = ops.where(ops.any(mask, axes, keepdims=True), new, old)
            self.moving_mean.assign(ops.reshape(new, self.moving_mean.shape))
        else:
            outputs = inputs - old
        if self.center:
            beta = ops.cast(self.beta, dtype)
            outputs = outputs + ops.reshape(beta, shape)
        return ops.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "center": self.center,
            "beta_initializer": keras.initializers.serialize(
                self.beta_initializer
            ),
            "moving_mean_initializer": keras.initializers.serialize(
                self.moving_mean_initializer
            ),
            "beta_regularizer": keras.regularizers.serialize(
                self.beta_regularizer
            ),
            "beta_constraint": keras.constraints.serialize(
                self.beta_constraint
            ),
        }
