"""The concatenated rectifier, which keeps both signs."""

import numbers

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_regimen")
class ConcatenatedReLU(keras.layers.Layer):
    """Gives the positive and the negative part of each feature, side by side.

    Use it after the first convolutions of a network, whose filters tend to
    come in pairs of opposite sign: with n filters it has 2n features,
    `max(x, 0)` and `max(-x, 0)`, and nothing is lost. The next layer gets
    twice as many inputs, so halve the filters to compare at equal cost. An
    input mask is passed on unchanged.

    Args:
        axis: Integer. The axis of the features, which doubles. -1 (the
            default) is the last; use 1 after a convolution with
            `data_format="channels_first"`.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of rank 1 or more.

    Returns:
        Float tensor of the shape of `inputs`, but twice as large along `axis`:
        first all positive parts, then all negative ones.

    Raises:
        ValueError: If `axis` is not an integer, or no axis of the inputs.

    Example:

    >>> outputs = ConcatenatedReLU()(np.array([[1.0, -2.0]]))
    >>> [float(output) for output in outputs[0]]
    [1.0, 0.0, 0.0, 2.0]

    Reference:

    - Shang, Sohn, Almeida and Lee, "Understanding and Improving Convolutional
      Neural Networks via Concatenated Rectified Linear Units",
      [2016](https://arxiv.org/abs/1603.05201), definition 2.1. No difference.
    """

    def __init__(self, axis: int = -1, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(axis, numbers.Integral):
            raise ValueError(
                "`axis` must be an integer, the axis of the features. "
                f"Received: axis={axis}"
            )
        self.axis = axis
        self.supports_masking = True

    def build(self, input_shape):
        rank = len(input_shape)
        if not -rank <= self.axis < rank:
            raise ValueError(
                f"`axis={self.axis}` must name an axis of the inputs. "
                f"Received: inputs of shape {tuple(input_shape)}"
            )

    def call(self, inputs):
        return ops.concatenate(
            [ops.relu(inputs), ops.relu(-inputs)], axis=self.axis
        )

    def compute_output_shape(self, input_shape):
        shape = list(input_shape)
        if shape[self.axis] is not None:
            shape[self.axis] *= 2
        return tuple(shape)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}
