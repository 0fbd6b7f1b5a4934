"""ReLU with a learned threshold in place of zero."""

import numbers

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_regimen")
class ThresholdedLinearUnit(keras.layers.Layer):
    """Rectifies each channel at a threshold that is learned.

    The output is `max(inputs, tau)`, with a `tau` for each channel. Use it
    after `FilterResponseNormalization`, which does not subtract the mean: a
    threshold fixed at zero would cut each channel at a place of its own. With
    `tau` at 0, where it starts, it is ReLU. An input mask is passed on
    unchanged.

    Args:
        axis: Integer. The channel axis. -1 (the default) is the last; use 1
            after a convolution with `data_format="channels_first"`.
        tau_initializer: Keras initializer. Default `"zeros"`.
        tau_regularizer: Optional Keras regularizer.
        tau_constraint: Optional Keras constraint.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of rank 2 or more. All sizes but the channels may
            change between calls.

    Returns:
        Float tensor of the same shape as `inputs`.

    Raises:
        ValueError: If `axis` is no integer, or the channel axis is missing
            from the inputs or of unknown size.

    Example:

    >>> layer = ThresholdedLinearUnit(tau_initializer="ones")
    >>> [float(value) for value in layer(keras.ops.array([[-2.0, 3.0]]))[0]]
    [1.0, 3.0]

    Reference:

    - Singh and Krishnan, "Filter Response Normalization Layer: Eliminating
      Batch Dependence in the Training of Deep Neural Networks",
      [2019](https://arxiv.org/abs/1911.09737), section 3.2.
    """

    def __init__(
        self,
        axis: int = -1,
        tau_initializer="zeros",
        tau_regularizer=None,
        tau_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(axis, numbers.Integral):
            raise ValueError(
                "`axis` must be an integer, the channel axis. "
                f"Received: axis={axis}"
            )
        self.axis = int(axis)
        self.tau_initializer = keras.initializers.get(tau_initializer)
        self.tau_regularizer = keras.regularizers.get(tau_regularizer)
        self.tau_constraint = keras.constraints.get(tau_constraint)
        self.supports_masking = True

    def build(self, input_shape):
        rank = len(input_shape)
        if not -rank <= self.axis < rank or input_shape[self.axis] is None:
            raise ValueError(
                f"`axis={self.axis}` must name an axis of known size, the "
                f"channels. Received: inputs of shape {tuple(input_shape)}"
            )
        self.tau = self.add_weight(
            shape=(input_shape[self.axis],),
            name="tau",
            initializer=self.tau_initializer,
            regularizer=self.tau_regularizer,
            constraint=self.tau_constraint,
        )

    def call(self, inputs):
        shape = [1] * len(inputs.shape)
        shape[self.axis] = inputs.shape[self.axis]
        return ops.maximum(inputs, ops.reshape(self.tau, shape))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "axis": self.axis,
            "tau_initializer": keras.initializers.serialize(
                self.tau_initializer
            ),
            "tau_regularizer": keras.regularizers.serialize(
                self.tau_regularizer
            ),
            "tau_constraint": keras.constraints.serialize(self.tau_constraint),
        }
