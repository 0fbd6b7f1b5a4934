"""A dense layer with the transposed kernel of another."""

import keras
from keras import ops

from .tied_layer import TiedLayer


@keras.saving.register_keras_serializable(package="keras_regimen")
class TiedDense(TiedLayer):
    """Multiplies by the transposed kernel of a `Dense` layer.

    Use it as the decoder of an autoencoder: `TiedDense(encoder)` maps the
    units of `encoder` back to its inputs with the same weights, so that the
    two have about half the parameters, and neither can make the other's
    weights small. Only the bias is its own.

    The tie is to the variable: it is one weight of a model, gets the sum of
    both gradients, and freezing one layer freezes it. It survives `.keras`
    files and `keras.models.clone_model` in a functional or sequential model
    whose decoder's inputs come from the encoder. In a model made of an encoder
    model and a decoder model it does not (Keras loses layers that two such
    parts share): there the loaded model predicts the same with a copy of the
    kernel, and a warning says so.

    Args:
        tied_to: A `keras.layers.Dense`, called or built before this layer is.
            Its penalty and constraint on the kernel count once.
        activation: Optional function, or its name in `keras.activations`.
            Default `None`: the outputs are linear.
        use_bias: Boolean. Whether to add a bias of its own. Default `True`.
        bias_initializer: Initializer of the bias, or its name. Default
            `"zeros"`.
        bias_regularizer: Optional penalty on the bias, or its name.
        bias_constraint: Optional constraint of the bias, or its name.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of shape `(batch, ..., units)`, where `units` are
            those of `tied_to`.

    Returns:
        Float tensor of shape `(batch, ..., features)`, where `features` are
        those of the inputs of `tied_to`.

    Raises:
        ValueError: If `tied_to` is not a `keras.layers.Dense`, is not built
            when this layer is, has no plain variable as its kernel, or has
            another number of units than the inputs have features.

    Example:

    >>> inputs = keras.Input((64,))
    >>> encoder = keras.layers.Dense(8, activation="tanh")
    >>> model = keras.Model(inputs, TiedDense(encoder)(encoder(inputs)))
    >>> model.count_params()  # 64 * 8 weights, and a bias of 8 and of 64.
    584

    Reference:

    - Vincent, Larochelle, Lajoie, Bengio and Manzagol, "Stacked Denoising
      Autoencoders: Learning Useful Representations in a Deep Network with a
      Local Denoising Criterion",
      [2010](https://jmlr.org/papers/v11/vincent10a.html), JMLR 11,
      p. 3371-3408, section 2.2. No difference.
    """

    counterpart = keras.layers.Dense

    def build(self, input_shape):
        super().build(input_shape)
        if input_shape[-1] != self.kernel.shape[-1]:
            raise ValueError(
                "The inputs must have as many features as `tied_to` has units, "
                f"{self.kernel.shape[-1]}. "
                f"Received: inputs of shape {tuple(input_shape)}"
            )

    def call(self, inputs):
        outputs = ops.matmul(inputs, ops.transpose(self.kernel))
        if self.bias is not None:
            outputs = outputs + ops.cast(self.bias, outputs.dtype)
        return self.activation(outputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.tied_to.kernel.shape[0])
