"""The arithmetic that LSTM cells with normalization share."""

from collections.abc import Callable

from keras import ops


def project(values, kernel, mask=None):
    """Multiplies by a kernel, under Keras' dropout masks.

    Args:
        values: Float tensor `(..., features)`.
        kernel: Float tensor `(features, 4 * units)`.
        mask: Optional tensor that multiplies the values, or a list of four,
            one for each gate, as `keras.layers.LSTMCell` makes them. Default
            `None`: nothing is dropped.

    Returns:
        Float tensor `(..., 4 * units)`.

    Example:

    >>> project(keras.ops.ones((1, 2)), keras.ops.ones((2, 4))).shape[-1]
    4
    """
    if mask is None:
        return ops.matmul(values, kernel)
    if not isinstance(mask, (list, tuple)):
        return ops.matmul(values * mask, kernel)
    parts = ops.split(kernel, 4, axis=1)
    products = [
        ops.matmul(values * each, part)
        for each, part in zip(mask, parts, strict=True)
    ]
    return ops.concatenate(products, axis=-1)


def advance(cell, preactivation, carry, normalize: Callable):
    """Takes an LSTM's states one step on, with a normalized output.

    Args:
        cell: A `keras.layers.LSTMCell`, for its activations.
        preactivation: Float tensor `(batch, 4 * units)`: the gates in Keras'
            order, input, forget, candidate and output.
        carry: Float tensor `(batch, units)`, the memory.
        normalize: Function of the new memory that the output is computed
            from. The memory itself goes on as it is.

    Returns:
        The new hidden state and the new memory.

    Example:

    >>> cell = keras.layers.LSTMCell(1, activation="linear")
    >>> gates = keras.ops.array([[100.0, 100.0, 2.0, 100.0]])  # All open.
    >>> hidden, carry = advance(
    ...     cell, gates, keras.ops.ones((1, 1)), lambda memory: 10 * memory
    ... )
    >>> float(hidden[0, 0]), float(carry[0, 0])
    (30.0, 3.0)
    """
    update, forget, candidate, output = ops.split(preactivation, 4, axis=-1)
    gate = cell.recurrent_activation
    carry = gate(forget) * carry + gate(update) * cell.activation(candidate)
    return gate(output) * cell.activation(normalize(carry)), carry
