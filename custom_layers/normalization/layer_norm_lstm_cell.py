"""An LSTM cell with layer normalization inside."""

import numbers

import keras

from .lstm_step import advance, project


@keras.saving.register_keras_serializable(package="keras_regimen")
class LayerNormLSTMCell(keras.layers.LSTMCell):
    """An LSTM cell that normalizes what enters its gates, and its memory.

    Use it in `keras.layers.RNN` in place of `keras.layers.LSTMCell` where an
    LSTM trains slowly or unstably. What comes from the inputs, what comes
    from the hidden state, and the memory on its way to the output, are each
    normalized over the features of a sample. No statistic crosses samples or
    steps, so batch size, length and masks change nothing, and training and
    inference compute the same.

    Args:
        units: Positive integer. The size of the output and of both states.
        epsilon: Positive float. Added to the variance. Default 1e-3.
        **kwargs: The other arguments of `keras.layers.LSTMCell`: activations,
            initializers, regularizers, constraints, `use_bias`, `dropout`,
            `recurrent_dropout` and `seed`.

    Call arguments:
        inputs: Float tensor of shape `(batch, features)`.
        states: List of two tensors `(batch, units)`, the hidden state and the
            memory.
        training: Boolean. Matters only with dropout.

    Returns:
        The output `(batch, units)`, and the list of new states.

    Raises:
        ValueError: If `units` or `epsilon` is not positive.

    Example:

    >>> layer = keras.layers.RNN(LayerNormLSTMCell(8))
    >>> tuple(layer(keras.ops.ones((2, 5, 3))).shape)
    (2, 8)

    Reference:

    - Ba, Kiros and Hinton, "Layer Normalization",
      [2016](https://arxiv.org/abs/1607.06450), equations 20 to 22 of the
      supplement. The shifts of the first two normalizations are left out:
      the bias of the gates does the same. Each is over all four gates
      together, as in the paper.
    """

    def __init__(self, units: int, epsilon: float = 1e-3, **kwargs):
        if not (isinstance(units, numbers.Integral) and units > 0):
            raise ValueError(
                f"`units` must be a positive integer. Received: units={units}"
            )
        if not (
            isinstance(epsilon, numbers.Real) and 0 < epsilon < float("inf")
        ):
            raise ValueError(
                "`epsilon` must be a positive number, such as 1e-3. "
                f"Received: epsilon={epsilon}"
            )
        super().__init__(units, **kwargs)
        self.epsilon = float(epsilon)
        self.kernel_norm, self.recurrent_norm, self.state_norm = (
            keras.layers.LayerNormalization(
                epsilon=self.epsilon,
                center=name == "state_norm",
                dtype=self.dtype_policy,
                name=name,
            )
            for name in ("kernel_norm", "recurrent_norm", "state_norm")
        )

    def build(self, input_shape):
        super().build(input_shape)
        self.kernel_norm.build((None, 4 * self.units))
        self.recurrent_norm.build((None, 4 * self.units))
        self.state_norm.build((None, self.units))

    def call(self, inputs, states, training=False):
        hidden, carry = states
        masks = [None, None]
        if training and 0 < self.dropout < 1:
            masks[0] = self.get_dropout_mask(inputs)
        if training and 0 < self.recurrent_dropout < 1:
            masks[1] = self.get_recurrent_dropout_mask(hidden)
        gates = self.kernel_norm(project(inputs, self.kernel, masks[0]))
        gates = gates + self.recurrent_norm(
            project(hidden, self.recurrent_kernel, masks[1])
        )
        if self.use_bias:
            gates = gates + self.bias
        hidden, carry = advance(self, gates, carry, self.state_norm)
        return hidden, [hidden, carry]

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}
