import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import SpectralNormalization


def run(layer, x, training=False):
    return ops.convert_to_numpy(layer(x, training=training))


def spectral_norm(matrix):
    return np.linalg.svd(matrix, compute_uv=False)[0]


def built(layer, shape, seed=0, **options):
    """Returns the wrapper of a layer with a kernel of large norm."""
    wrapper = SpectralNormalization(layer, **options)
    wrapper.build((None, *shape))
    rng = np.random.default_rng(seed)
    wrapper.layer.kernel.assign(3 * rng.normal(size=wrapper.layer.kernel.shape))
    return wrapper


def test_ten_steps_of_training_follow_pytorch():
    torch = pytest.importorskip("torch")
    from torch.nn.utils.parametrizations import spectral_norm

    rng = np.random.default_rng(0)
    wrapper = built(layers.Dense(4), (5,), power_iterations=2)
    dense = wrapper.layer
    inputs = keras.Input((5,))
    model = keras.Model(inputs, wrapper(inputs))
    model.compile(keras.optimizers.SGD(0.3), "mse")

    linear = torch.nn.Linear(5, 4)
    kernel, bias = (ops.convert_to_numpy(v) for v in dense.weights)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(kernel.T))
        linear.bias.copy_(torch.tensor(bias))
    linear = spectral_norm(linear, n_power_iterations=2)
    vector = ops.convert_to_numpy(wrapper.vectors[0])
    linear.parametrizations.weight[0]._v.copy_(torch.tensor(vector))
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.3)
    for _ in range(10):
        x = rng.normal(size=(8, 5)).astype("float32")
        y = rng.normal(size=(8, 4)).astype("float32")
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(
            linear(torch.tensor(x)), torch.tensor(y)
        )
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(
            model.train_on_batch(x, y), loss.item(), rtol=1e-5
        )
    original = linear.parametrizations.weight.original.detach().numpy().T
    assert np.abs(original - kernel).max() > 1e-3  # It has moved.
    np.testing.assert_allclose(
        ops.convert_to_numpy(dense.kernel), original, rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(wrapper.vectors[0]),
        linear.parametrizations.weight[0]._v.numpy(),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("layer", "shape", "units"),
    [
        (lambda: layers.Dense(3), (5,), [1]),
        (lambda: layers.Conv2D(3, 2), (4, 4, 2), [3]),
        (lambda: layers.Conv2DTranspose(3, 2), (4, 4, 2), [2]),
        (lambda: layers.DepthwiseConv2D(2), (4, 4, 3), [2, 3]),
    ],
)
def test_kernel_is_divided_by_its_largest_singular_value(layer, shape, units):
    wrapper = built(layer(), shape, power_iterations=10)
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype("float32")
    kernel = ops.convert_to_numpy(wrapper.layer.kernel).copy()
    for _ in range(4):
        trained = run(wrapper, x, training=True)
    # The stored kernel is never overwritten.
    np.testing.assert_array_equal(
        ops.convert_to_numpy(wrapper.layer.kernel), kernel
    )
    matrix = np.moveaxis(kernel, units, range(len(units)))
    matrix = matrix.reshape(np.prod([kernel.shape[i] for i in units]), -1)
    plain = wrapper.strip()
    np.testing.assert_allclose(
        ops.convert_to_numpy(plain.kernel),
        kernel / spectral_norm(matrix),
        rtol=1e-4,
    )
    for outputs in (run(wrapper, x), run(plain, x)):
        np.testing.assert_allclose(outputs, trained, rtol=1e-4, atol=1e-6)


def test_inference_divides_before_any_training_and_keeps_the_estimate():
    wrapper = SpectralNormalization(layers.Dense(6, use_bias=False))
    wrapper.build((None, 8))
    before = ops.convert_to_numpy(wrapper.vectors[0]).copy()
    effective = run(wrapper, np.eye(8, dtype="float32"))
    # 15 steps from any direction.
    np.testing.assert_allclose(spectral_norm(effective), 1, rtol=0.05)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(wrapper.vectors[0]), before
    )


def test_inference_takes_the_vector_as_it_is():
    wrapper = built(layers.Dense(4), (5,))
    wrapper.vectors[0].assign(np.eye(5)[0])
    kernel = ops.convert_to_numpy(wrapper.layer.kernel)
    # The estimate is then the norm of the first row.
    np.testing.assert_allclose(
        run(wrapper, np.eye(5, dtype="float32")),
        kernel / np.linalg.norm(kernel[0]),
        rtol=1e-5,
    )


def test_each_kernel_has_its_own_norm():
    wrapper = SpectralNormalization(layers.LSTM(2), power_iterations=30)
    run(wrapper, np.ones((1, 3, 2), "float32"), training=True)
    cell = wrapper.strip().cell
    for kernel in (cell.kernel, cell.recurrent_kernel):
        norm = spectral_norm(ops.convert_to_numpy(kernel))
        np.testing.assert_allclose(norm, 1, rtol=1e-3)


@pytest.fixture
def floatx():
    """The precision of a gradient check; on JAX float64 is switched off."""
    floatx = "float32" if keras.config.backend() == "jax" else "float64"
    keras.config.set_floatx(floatx)
    yield floatx
    keras.config.set_floatx("float32")


def test_gradient_flows_through_sigma(floatx):
    tolerance = {"float64": 1e-7, "float32": 1e-4}[floatx]
    dense = layers.Dense(2, use_bias=False, dtype=floatx)
    wrapper = built(dense, (3,), power_iterations=40)
    x = np.eye(3)
    for _ in range(4):
        run(wrapper, x, training=True)
    rng = np.random.default_rng(2)
    y = rng.normal(size=(3, 2))
    kernel = ops.convert_to_numpy(wrapper.layer.kernel).copy()
    inputs = keras.Input((3,), dtype=floatx)
    model = keras.Model(inputs, wrapper(inputs))
    model.compile(keras.optimizers.SGD(1.0), lambda y, p: ops.sum(y * p, -1))
    model.train_on_batch(x, y)
    gradient = kernel - ops.convert_to_numpy(wrapper.layer.kernel)

    def loss(kernel):
        return np.mean(np.sum(y * (kernel / spectral_norm(kernel)), -1))

    for at in np.ndindex(3, 2):
        step = np.zeros((3, 2))
        step[at] = 1e-6
        slope = (loss(kernel + step) - loss(kernel - step)) / 2e-6
        np.testing.assert_allclose(
            gradient[at], slope, rtol=tolerance, atol=tolerance
        )
    # The output does not depend on the kernel's length.
    np.testing.assert_allclose(np.sum(gradient * kernel), 0, atol=tolerance)


def test_kernel_of_zeros_stays_zero_and_finite():
    dense = layers.Dense(2, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((3,)), SpectralNormalization(dense)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = np.ones((4, 3), "float32")
    np.testing.assert_array_equal(model.predict(x, verbose=0), 0)
    model.train_on_batch(x, np.zeros((4, 2)))
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_first_fit_on_an_unbuilt_model_finds_the_starting_vector():
    wrapper = SpectralNormalization(layers.Dense(3))
    model = keras.Sequential([wrapper])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(np.ones((4, 5)), np.ones((4, 3)), verbose=0)
    kernel = ops.convert_to_numpy(wrapper.layer.kernel)
    vector = ops.convert_to_numpy(wrapper.vectors[0])
    np.testing.assert_allclose(
        np.linalg.norm(vector @ kernel), spectral_norm(kernel), rtol=0.05
    )


@pytest.mark.parametrize("iterations", [0, -1, 1.5, None])
def test_bad_power_iterations_say_what_was_received(iterations):
    with pytest.raises(ValueError, match=f"power_iterations={iterations}"):
        SpectralNormalization(layers.Dense(2), power_iterations=iterations)
