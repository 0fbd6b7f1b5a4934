import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import WeightStandardization


def run(layer, x, training=False):
    return ops.convert_to_numpy(layer(x, training=training))


def standardized(kernel, axes, epsilon=1e-5):
    mean = kernel.mean(axes, keepdims=True)
    return (kernel - mean) / np.sqrt(
        (kernel**2).mean(axes, keepdims=True) - mean**2 + epsilon
    )


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (layers.Dense(3), (2, 5), 0),
        (layers.Conv2D(3, 2), (2, 4, 4, 2), (0, 1, 2)),
        (layers.Conv2DTranspose(3, 2), (2, 4, 4, 2), (0, 1, 3)),
        (layers.DepthwiseConv2D(2), (2, 4, 4, 2), (0, 1)),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_kernel_is_standardized_for_each_unit(layer, shape, axes, training):
    layer = type(layer).from_config(layer.get_config())
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype("float32")
    wrapper = WeightStandardization(layer)
    wrapper.build(shape)
    kernel = rng.normal(3, 2, layer.kernel.shape).astype("float32")
    layer.kernel.assign(kernel)
    outputs = run(wrapper, x, training)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.kernel), kernel)
    plain = wrapper.strip()
    expected = standardized(kernel.astype("float64"), axes)
    np.testing.assert_allclose(
        ops.convert_to_numpy(plain.kernel), expected, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(run(plain, x), outputs, rtol=1e-4, atol=1e-5)


def test_epsilon_stands_under_the_root():
    kernel = np.array([[0.0], [2.0]])  # Mean 1, variance 1.
    dense = layers.Dense(1, use_bias=False)
    wrapper = WeightStandardization(dense, epsilon=3.0)
    wrapper.build((None, 2))
    dense.kernel.assign(kernel)
    np.testing.assert_allclose(run(wrapper, np.eye(2)), [[-0.5], [0.5]])


def test_output_ignores_shift_and_scale_of_the_kernel():
    x = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    wrapper = WeightStandardization(layers.Dense(4), epsilon=1e-12)
    before = run(wrapper, x)
    kernel = ops.convert_to_numpy(wrapper.layer.kernel)
    wrapper.layer.kernel.assign(5 * kernel - 2)
    np.testing.assert_allclose(run(wrapper, x), before, rtol=1e-3, atol=1e-5)


@pytest.fixture
def floatx():
    """The precision of a gradient check; on JAX float64 is switched off."""
    floatx = "float32" if keras.config.backend() == "jax" else "float64"
    keras.config.set_floatx(floatx)
    yield floatx
    keras.config.set_floatx("float32")


def test_gradient_agrees_with_finite_differences(floatx):
    tolerance = {"float64": 1e-7, "float32": 1e-4}[floatx]
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(4, 3)), rng.normal(size=(3, 2))
    y = rng.normal(size=(4, 2))
    dense = layers.Dense(2, use_bias=False, dtype=floatx)
    inputs = keras.Input((3,), dtype=floatx)
    model = keras.Model(inputs, WeightStandardization(dense)(inputs))
    model.compile(keras.optimizers.SGD(1.0), lambda y, p: ops.sum(y * p, -1))
    dense.kernel.assign(kernel)
    model.train_on_batch(x, y)
    gradient = kernel - ops.convert_to_numpy(dense.kernel)

    def loss(kernel):
        return np.mean(np.sum(y * (x @ standardized(kernel, 0)), -1))

    for at in np.ndindex(3, 2):
        step = np.zeros((3, 2))
        step[at] = 1e-6
        slope = (loss(kernel + step) - loss(kernel - step)) / 2e-6
        np.testing.assert_allclose(
            gradient[at], slope, rtol=tolerance, atol=tolerance
        )


def test_large_kernels_are_standardized_in_float32():
    dense = layers.Dense(1, dtype="mixed_float16", use_bias=False)
    wrapper = WeightStandardization(dense)
    wrapper.build((None, 2))
    dense.kernel.assign([[40000.0], [-40000.0]])  # Squares are no float16.
    np.testing.assert_array_equal(run(wrapper, np.eye(2)), [[1], [-1]])


def test_units_with_one_input_are_refused():
    wrapper = WeightStandardization(layers.DepthwiseConv2D(1))
    with pytest.raises(ValueError, match=r"two inputs.*\(1, 1, 3, 1\)"):
        wrapper.build((None, 4, 4, 3))


def test_embeddings_are_no_kernel():
    with pytest.raises(ValueError, match="must have a kernel.*Embedding"):
        WeightStandardization(layers.Embedding(3, 2))


@pytest.mark.parametrize("epsilon", [0, -1e-5, float("nan"), float("inf"), "a"])
def test_bad_epsilon_says_what_was_received(epsilon):
    with pytest.raises(ValueError, match=f"epsilon={epsilon}"):
        WeightStandardization(layers.Dense(2), epsilon=epsilon)
