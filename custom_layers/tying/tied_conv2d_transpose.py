"""A transposed convolution with the kernel of a convolution."""

import keras
from keras import ops

from .tied_layer import TiedLayer


@keras.saving.register_keras_serializable(package="keras_regimen")
class TiedConv2DTranspose(TiedLayer):
    """Undoes the form of a `Conv2D`, with the same kernel, transposed.

    Use it as the decoder of a convolutional autoencoder: it has the kernel,
    strides, padding, dilation and data format of `tied_to`, and gives maps of
    the size and channels that `tied_to` takes. Seen as a matrix it is the
    transposed one. Only the bias is its own.

    The tie is to the variable: it is one weight of a model, gets the sum of
    both gradients, and freezing one layer freezes it. It survives saving,
    loading and cloning as that of `TiedDense` does.

    Args:
        tied_to: A `keras.layers.Conv2D` with one group, called or built before
            this layer is. Its penalty and constraint on the kernel count once.
        activation: Optional function, or its name in `keras.activations`.
            Default `None`: the outputs are linear.
        use_bias: Boolean. Whether to add a bias of its own. Default `True`.
        output_padding: Optional integer, or tuple of two, less than the
            strides: rows and columns to add. With strides of 2, maps of 7 and
            of 8 units both give 4; Keras' default, `None`, gives back 8 with
            `padding="same"`.
        bias_initializer: Initializer of the bias, or its name. Default
            `"zeros"`.
        bias_regularizer: Optional penalty on the bias, or its name.
        bias_constraint: Optional constraint of the bias, or its name.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of shape `(batch, rows, columns, filters)`, or
            with `"channels_first"` `(batch, filters, rows, columns)`, where
            `filters` are those of `tied_to`.

    Returns:
        Float tensor with the channels of the inputs of `tied_to`.

    Raises:
        ValueError: If `tied_to` is not a `keras.layers.Conv2D` or has several
            groups, is not built when this layer is, has no plain variable as
            its kernel, or has another number of filters than the inputs have
            channels, or if `output_padding` is not less than the strides.

    Example:

    >>> images = keras.Input((28, 28, 3))
    >>> encoder = keras.layers.Conv2D(16, 3, strides=2, padding="same")
    >>> TiedConv2DTranspose(encoder)(encoder(images)).shape
    (None, 28, 28, 3)

    Reference:

    - Masci, Meier, Cireşan and Schmidhuber, "Stacked Convolutional
      Auto-Encoders for Hierarchical Feature Extraction",
      [2011](https://doi.org/10.1007/978-3-642-21735-7_7), section 3. No
      difference: its decoder flips the kernel, which is what a transposed
      convolution is. Strides are ours.
    """

    counterpart = keras.layers.Conv2D

    def __init__(
        self,
        tied_to: keras.layers.Layer,
        activation=None,
        use_bias: bool = True,
        output_padding: int | tuple[int, int] | None = None,
        bias_initializer="zeros",
        bias_regularizer=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(
            tied_to,
            activation=activation,
            use_bias=use_bias,
            bias_initializer=bias_initializer,
            bias_regularizer=bias_regularizer,
            bias_constraint=bias_constraint,
            **kwargs,
        )
        self.output_padding = output_padding
        # A mask of the rows would not fit the outputs, which are larger.
        self.supports_masking = False
        self._untied(filters=1)  # Keras' own checks, now and not when called.

    def refuse_if_untieable(self, layer):
        super().refuse_if_untieable(layer)
        if layer.groups != 1:
            raise ValueError(
                "`tied_to` must have one group: a transposed convolution has "
                f"no others. Received: tied_to={layer}, groups={layer.groups}"
            )

    def _untied(self, filters):
        """Returns Keras' layer of the same form."""
        twin = self.tied_to
        return keras.layers.Conv2DTranspose(
            filters,
            twin.kernel_size,
            strides=twin.strides,
            padding=twin.padding,
            output_padding=self.output_padding,
            data_format=twin.data_format,
            dilation_rate=twin.dilation_rate,
            name="untied",  # So that no automatic name is used up.
        )

    def build(self, input_shape):
        super().build(input_shape)
        axis = -1 if self.tied_to.data_format == "channels_last" else 1
        if input_shape[axis] != self.kernel.shape[-1]:
            raise ValueError(
                "The inputs must have as many channels as `tied_to` has "
                f"filters, {self.kernel.shape[-1]}. "
                f"Received: inputs of shape {tuple(input_shape)}"
            )

    def call(self, inputs):
        # Height, width, in, out: what a convolution takes in, its transpose
        # gives out, and there Keras has them in this very order.
        outputs = ops.conv_transpose(
            inputs,
            self.kernel,
            strides=list(self.tied_to.strides),
            padding=self.tied_to.padding,
            output_padding=self.output_padding,
            data_format=self.tied_to.data_format,
            dilation_rate=self.tied_to.dilation_rate,
        )
        if self.bias is not None:
            last = self.tied_to.data_format == "channels_last"
            shape = (1, 1, 1, -1) if last else (1, -1, 1, 1)
            bias = ops.reshape(ops.cast(self.bias, outputs.dtype), shape)
            outputs = outputs + bias
        return self.activation(outputs)

    def compute_output_shape(self, input_shape):
        filters = self.tied_to.kernel.shape[-2]
        return tuple(self._untied(filters).compute_output_shape(input_shape))

    def get_config(self):
        return {**super().get_config(), "output_padding": self.output_padding}
