"""Maxout: the largest of several linear features."""

import numbers

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_regimen")
class Maxout(keras.layers.Layer):
    """Gives the largest of each group of features: a learned activation.

    Use it after a `Dense` or convolutional layer without activation, with
    dropout: `Dense(3 * 128)` then `Maxout(3)` makes 128 units, each the
    maximum of 3 linear functions, which can take the form of any convex one.
    It has as many times the weights of a layer of 128 rectifiers. An input
    mask is passed on unchanged.

    Args:
        num_pieces: Positive integer. The number of features in a group, the
            paper's k; 1 is the identity. The number of features must be a
            multiple of it.
        axis: Integer. The axis of the features. -1 (the default) is the last;
            use 1 after a convolution with `data_format="channels_first"`.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of rank 1 or more. Features that stand side by
            side make a group.

    Returns:
        Float tensor of the shape of `inputs`, but smaller by `num_pieces`
        along `axis`.

    Raises:
        ValueError: If `num_pieces` is not a positive integer, `axis` is not an
            integer or no axis of the inputs, or the number of features is
            unknown or not a multiple of `num_pieces`.

    Example:

    >>> outputs = Maxout(num_pieces=2)(np.array([[1.0, 3.0, -2.0, -5.0]]))
    >>> [float(output) for output in outputs[0]]
    [3.0, -2.0]

    Reference:

    - Goodfellow, Warde-Farley, Mirza, Courville and Bengio, "Maxout Networks",
      [2013](https://arxiv.org/abs/1302.4389), section 3. There the linear
      layer is part of the unit; here it stands before, so that it may be any.
      The paper's convolutional unit takes the maximum over channels, as here.
    """

    def __init__(self, num_pieces: int, axis: int = -1, **kwargs):
        super().__init__(**kwargs)
        if not (isinstance(num_pieces, numbers.Integral) and num_pieces > 0):
            raise ValueError(
                "`num_pieces` must be a positive integer. "
                f"Received: num_pieces={num_pieces}"
            )
        if not isinstance(axis, numbers.Integral):
            raise ValueError(
                "`axis` must be an integer, the axis of the features. "
                f"Received: axis={axis}"
            )
        self.num_pieces = int(num_pieces)
        self.axis = axis
        self.supports_masking = True

    def build(self, input_shape):
        rank = len(input_shape)
        if not -rank <= self.axis < rank or input_shape[self.axis] is None:
            raise ValueError(
                f"`axis={self.axis}` must name an axis of known size, the "
                f"features. Received: inputs of shape {tuple(input_shape)}"
            )
        if input_shape[self.axis] % self.num_pieces:
            raise ValueError(
                "The number of features must be a multiple of "
                f"`num_pieces={self.num_pieces}`. "
                f"Received: {input_shape[self.axis]} features"
            )

    def call(self, inputs):
        axis = self.axis % len(inputs.shape)
        shape = list(ops.shape(inputs))
        units = inputs.shape[axis] // self.num_pieces
        # (..., features, ...) to (..., units, pieces, ...)
        shape[axis : axis + 1] = [units, self.num_pieces]
        return ops.max(ops.reshape(inputs, shape), axis=axis + 1)

    def compute_output_shape(self, input_shape):
        shape = list(input_shape)
        shape[self.axis] //= self.num_pieces
        return tuple(shape)

    def get_config(self):
        return {
            **super().get_config(),
            "num_pieces": self.num_pieces,
            "axis": self.axis,
        }
