import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import TiedDense


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def encoder(units=3, features=5):
    layer = layers.Dense(units)
    layer.build((None, features))
    return layer


@pytest.mark.parametrize("shape", [(4, 3), (4, 2, 3), (4, 2, 2, 3)])
def test_multiplies_by_the_transposed_kernel(shape):
    twin = encoder()
    layer = TiedDense(
        twin,
        activation="tanh",
        bias_initializer=keras.initializers.RandomNormal(seed=1),
    )
    x = normal(*shape)
    y = ops.convert_to_numpy(layer(x))
    kernel, bias = map(ops.convert_to_numpy, (twin.kernel, layer.bias))
    expected = np.tanh(np.einsum("...u,fu->...f", x, kernel) + bias)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert layer.compute_output_shape(shape) == y.shape
    # The encoder's own bias is not part of it.
    assert [w.shape for w in layer.weights] == [(5, 3), (5,)]


def test_is_the_adjoint_of_the_encoder():
    twin = encoder()
    x, y = normal(4, 5), normal(4, 3)
    forth = ops.convert_to_numpy(twin(x))  # Its bias is zero.
    back = ops.convert_to_numpy(TiedDense(twin, use_bias=False)(y))
    np.testing.assert_allclose(np.sum(forth * y), np.sum(x * back), rtol=1e-5)


def test_orthogonal_kernel_is_undone():
    twin = layers.Dense(5, kernel_initializer="orthogonal")
    x = normal(4, 5)
    y = ops.convert_to_numpy(TiedDense(twin)(twin(x)))
    np.testing.assert_allclose(y, x, atol=1e-5)


def test_can_be_tied_in_turn_to_nothing_but_dense():
    with pytest.raises(ValueError, match="must be a `Dense` layer"):
        TiedDense(TiedDense(encoder()))


def test_inputs_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"units, 3\. Received.*\(4, 5\)"):
        TiedDense(encoder())(normal(4, 5))
