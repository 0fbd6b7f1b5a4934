import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import ConcatenatedReLU

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_equals_both_parts_from_pytorch(axis):
    x = np.random.default_rng(0).normal(size=(4, 3, 5)).astype("float32")
    both = [torch.relu(torch.tensor(x)), torch.relu(-torch.tensor(x))]
    expected = torch.cat(both, dim=axis).numpy()
    layer = ConcatenatedReLU(axis=axis)
    y = ops.convert_to_numpy(layer(x))
    np.testing.assert_array_equal(y, expected)
    assert layer.compute_output_shape(x.shape) == y.shape


def test_nothing_is_lost():
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    y = ops.convert_to_numpy(ConcatenatedReLU()(x))
    np.testing.assert_array_equal(y[:, :6] - y[:, 6:], x)
    assert (y >= 0).all()


def test_gradient_goes_to_the_part_that_is_positive():
    values = np.array([[-2.0, 3.0]], "float32")
    inputs = keras.Input((), dtype="int32")
    table = keras.layers.Embedding(1, 2)
    model = keras.Model(inputs, ConcatenatedReLU()(table(inputs)))
    table.set_weights([values])
    weight = ops.convert_to_tensor([1.0, 10.0, 100.0, 1000.0])
    model.compile(keras.optimizers.SGD(1.0), lambda _, y: ops.sum(y * weight))
    model.train_on_batch(np.arange(1), np.zeros((1, 4)))
    gradient = values - ops.convert_to_numpy(table.embeddings)
    np.testing.assert_allclose(gradient, [[-100, 10]], rtol=1e-6)


def test_unknown_size_stays_unknown():
    outputs = ConcatenatedReLU(axis=1)(keras.Input((None, 3)))
    assert outputs.shape == (None, None, 3)


def test_bad_axis_says_what_was_received():
    with pytest.raises(ValueError, match="`axis` must be an integer.*axis=1.5"):
        ConcatenatedReLU(axis=1.5)
    with pytest.raises(ValueError, match=r"axis=2.*shape \(4, 3\)"):
        ConcatenatedReLU(axis=2)(np.ones((4, 3), "float32"))
