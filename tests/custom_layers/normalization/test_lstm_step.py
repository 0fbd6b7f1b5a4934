import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers.normalization.lstm_step import advance, project

RNG = np.random.default_rng(0)


def test_each_gate_has_its_own_dropout_mask():
    x, kernel = RNG.normal(size=(3, 2)), RNG.normal(size=(2, 8))
    masks = list(RNG.integers(0, 2, size=(4, 3, 2)) * 2.0)
    parts = np.split(kernel, 4, axis=1)
    expected = np.hstack([x * m @ k for m, k in zip(masks, parts, strict=True)])
    tensors = [ops.convert_to_tensor(a, "float32") for a in (x, kernel, *masks)]
    result = project(*tensors[:2], tensors[2:])
    np.testing.assert_allclose(
        ops.convert_to_numpy(result), expected, rtol=1e-5, atol=1e-6
    )
    for mask, factor in ((None, 1), (tensors[2], masks[0])):
        np.testing.assert_allclose(
            ops.convert_to_numpy(project(*tensors[:2], mask)),
            x * factor @ kernel,
            rtol=1e-5,
            atol=1e-6,
        )


@pytest.mark.parametrize("activation", ["tanh", "softsign"])
def test_step_is_that_of_keras_cell(activation):
    cell = keras.layers.LSTMCell(4, activation=activation)
    x, hidden, carry = (
        ops.convert_to_tensor(RNG.normal(size=(3, n)), "float32")
        for n in (2, 4, 4)
    )
    _, expected = cell(x, [hidden, carry])
    gates = project(x, cell.kernel) + project(hidden, cell.recurrent_kernel)
    states = advance(cell, gates + cell.bias, carry, lambda memory: memory)
    for state, other in zip(states, expected, strict=True):
        np.testing.assert_allclose(
            *map(ops.convert_to_numpy, (state, other)), rtol=1e-6, atol=1e-7
        )
