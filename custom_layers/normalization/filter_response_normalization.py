"""Filter response normalization: per sample and channel, without a mean."""

import math
import numbers

import keras
from keras import ops

from .masked_mean import align_mask, masked_mean


@keras.saving.register_keras_serializable(package="keras_regimen")
class FilterResponseNormalization(keras.layers.Layer):
    """Divides each channel of each sample by its root mean square.

    Use it after a convolution in place of batch normalization where batches
    are small: a sample never sees the others, so training and inference are
    the same for any batch size. The mean is not subtracted, which leaves
    activations with a bias: follow it with `ThresholdedLinearUnit`, whose
    learned threshold takes the place of ReLU's zero. The paper raises the
    learning rate slowly at the start of training.

    The mean square is taken over all positions (time, or height and width).
    With one position, as after a dense layer or pooling, a channel becomes
    little more than its sign; `learned_epsilon=True` softens this, and is
    demanded where there are no positions at all. Statistics are float32
    whatever the policy.

    Args:
        axis: Integer. The channel axis, never the batch axis 0. -1 (the
            default) is the last; use 1 after a convolution with
            `data_format="channels_first"`.
        epsilon: Positive float. Added to the mean square. Default 1e-6.
        learned_epsilon: Boolean. Whether to add the absolute value of a
            learned scalar, which starts at 1e-4, to `epsilon`. Default
            `False`.
        beta_initializer: Keras initializer of the shift. Default `"zeros"`.
        gamma_initializer: Keras initializer of the scale. Default `"ones"`.
        beta_regularizer: Optional Keras regularizer.
        gamma_regularizer: Optional Keras regularizer.
        beta_constraint: Optional Keras constraint.
        gamma_constraint: Optional Keras constraint.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of shape `(batch, ..., channels)`, or as `axis`
            says. All sizes but the channels may change between calls.
        mask: Optional boolean tensor that is `True` where a value counts in
            the mean square: of the inputs' rank and broadcastable to them, or
            for their leading axes without the channels, such as
            `(batch, time)`.

    Returns:
        Float tensor of the same shape as `inputs`.

    Raises:
        ValueError: If `axis` is no integer, `epsilon` is not positive, the
            channel axis is the batch axis, missing from the inputs or of
            unknown size, or inputs of rank 2 meet `learned_epsilon=False`.

    Example:

    >>> x = keras.ops.array([[[1.0], [7.0]]])  # The mean square is 25.
    >>> y = FilterResponseNormalization()(x)
    >>> [round(float(value), 2) for value in y[0, :, 0]]
    [0.2, 1.4]

    Reference:

    - Singh and Krishnan, "Filter Response Normalization Layer: Eliminating
      Batch Dependence in the Training of Deep Neural Networks",
      [2019](https://arxiv.org/abs/1911.09737), section 3. The paper has
      images; we take any number of positions, and a mask.
    """

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-6,
        learned_epsilon: bool = False,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(axis, numbers.Integral):
            raise ValueError(
                "`axis` must be an integer, the channel axis. "
                f"Received: axis={axis}"
            )
        if not (isinstance(epsilon, numbers.Real) and 0 < epsilon < math.inf):
            raise ValueError(
                "`epsilon` must be a positive number, such as 1e-6. "
                f"Received: epsilon={epsilon}"
            )
        self.axis = int(axis)
        self.epsilon = float(epsilon)
        self.learned_epsilon = learned_epsilon
        self.beta_initializer = keras.initializers.get(beta_initializer)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)
        self.beta_constraint = keras.constraints.get(beta_constraint)
        self.gamma_constraint = keras.constraints.get(gamma_constraint)
        self.supports_masking = True

    def build(self, input_shape):
        shape, rank = tuple(input_shape), len(input_shape)
        if (
            not -rank < self.axis < rank
            or self.axis == 0
            or shape[self.axis] is None
        ):
            raise ValueError(
                f"`axis={self.axis}` must name an axis of known size, the "
                "channels, and not the batch axis 0. "
                f"Received: inputs of shape {shape}"
            )
        if rank == 2 and not self.learned_epsilon:
            raise ValueError(
                "Without positions to average over, only the signs of the "
                "inputs would be left. Set `learned_epsilon=True`, or use "
                "`keras.layers.LayerNormalization`. "
                f"Received: inputs of shape {shape}"
            )
        for name in ("gamma", "beta"):
            weight = self.add_weight(
                shape=(shape[self.axis],),
                name=name,
                initializer=getattr(self, f"{name}_initializer"),
                regularizer=getattr(self, f"{name}_regularizer"),
                constraint=getattr(self, f"{name}_constraint"),
                autocast=False,
            )
            setattr(self, name, weight)
        if self.learned_epsilon:
            self.added_epsilon = self.add_weight(
                shape=(),
                name="added_epsilon",
                initializer=keras.initializers.Constant(1e-4),
                autocast=False,
            )

    def call(self, inputs, mask=None):
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        inputs = ops.cast(inputs, dtype)
        rank = len(inputs.shape)
        shape = [1] * rank
        shape[self.axis] = inputs.shape[self.axis]
        positions = [a for a in range(1, rank) if a != self.axis % rank]
        if mask is not None:
            mask = align_mask(mask, inputs, self.axis)
        mean_square = masked_mean(ops.square(inputs), positions, mask)
        epsilon = self.epsilon
        if self.learned_epsilon:
            epsilon = epsilon + ops.abs(ops.cast(self.added_epsilon, dtype))
        gamma, beta = (
            ops.reshape(ops.cast(variable, dtype), shape)
            for variable in (self.gamma, self.beta)
        )
        factor = ops.rsqrt(mean_square + epsilon) * gamma
        return ops.cast(inputs * factor + beta, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "learned_epsilon": self.learned_epsilon,
            "beta_initializer": keras.initializers.serialize(
                self.beta_initializer
            ),
            "gamma_initializer": keras.initializers.serialize(
                self.gamma_initializer
            ),
            "beta_regularizer": keras.regularizers.serialize(
                self.beta_regularizer
            ),
            "gamma_regularizer": keras.regularizers.serialize(
                self.gamma_regularizer
            ),
            "beta_constraint": keras.constraints.serialize(
                self.beta_constraint
            ),
            "gamma_constraint": keras.constraints.serialize(
                self.gamma_constraint
            ),
        }
