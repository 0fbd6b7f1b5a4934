import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import GradientCentralization


def step(gradient, name="kernel"):
    """Returns what the inner optimizer's gradient was."""
    optimizer = GradientCentralization(keras.optimizers.SGD(1.0))
    variable = keras.Variable(np.zeros_like(gradient), name=name)
    optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
    return -ops.convert_to_numpy(variable)


@pytest.mark.parametrize("shape", [(5, 4), (3, 2, 4), (3, 3, 2, 4)])
def test_mean_of_each_unit_is_gone_and_the_rest_is_there(shape):
    gradient = np.random.default_rng(0).normal(1, size=shape).astype("float32")
    columns = gradient.reshape(-1, 4)
    expected = (columns - columns.mean(0)).reshape(shape)
    np.testing.assert_allclose(step(gradient), expected, atol=1e-6)


def test_is_that_of_optax():
    optax = pytest.importorskip("optax")
    gradient = np.random.default_rng(0).normal(1, size=(5, 4))
    gradient = gradient.astype("float32")
    # Optax centralizes over the leading axes' complement: the transpose.
    reference = optax.centralize()
    expected, _ = reference.update(gradient.T, reference.init(gradient.T))
    np.testing.assert_allclose(step(gradient), expected.T, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "name"),
    [((4,), "bias"), ((), "gain"), ((2, 4), "bias"), ((9, 4), "embeddings")],
)
def test_other_gradients_are_left_as_they_are(shape, name):
    gradient = np.full(shape, 3.0, "float32")
    np.testing.assert_array_equal(step(gradient, name), gradient)


def test_sums_of_weights_stay_with_any_optimizer():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(6, 3)).astype("float32")
    variable = keras.Variable(kernel, name="kernel")
    sgd = keras.optimizers.SGD(0.5, momentum=0.9, nesterov=True)
    optimizer = GradientCentralization(sgd)
    for gradient in rng.normal(1, size=(20, 6, 3)).astype("float32"):
        optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
    found = ops.convert_to_numpy(variable)
    np.testing.assert_allclose(found.sum(0), kernel.sum(0), atol=1e-4)
    assert np.abs(found - kernel).max() > 1
