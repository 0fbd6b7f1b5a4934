import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import VariationalDropout


def run(layer, x, training=True):
    return ops.convert_to_numpy(layer(x, training=training))


def value(tensor):
    return float(ops.convert_to_numpy(tensor))


def authors_divergence(log_alpha):
    """Equation 14, as the authors' code has it."""
    k1, k2, k3 = 0.63576, 1.87320, 1.48695
    sigmoid = 1 / (1 + np.exp(-(k2 + k3 * log_alpha)))
    negative = k1 * sigmoid - 0.5 * np.log1p(np.exp(-log_alpha)) - k1
    return -negative.sum()


def with_log_alpha(log_alpha, **options):
    """Returns a layer of one weight, 1, with that ratio of variance to it."""
    dense = layers.Dense(1, kernel_initializer="ones", use_bias=False)
    wrapper = VariationalDropout(
        dense, 1, initial_log_variance=log_alpha, **options
    )
    wrapper.build((None, 1))
    return wrapper


def test_penalty_is_the_authors_divergence_over_the_dataset():
    rng = np.random.default_rng(0)
    for precision, scale in ((None, 1 / 50), (4.0, 2 / 200)):
        dense = layers.Dense(3)
        wrapper = VariationalDropout(dense, 50, precision=precision)
        wrapper.build((None, 4))
        wrapper.log_variance.assign(rng.uniform(-8, 4, size=(4, 3)))
        log_variance, kernel = (
            ops.convert_to_numpy(v).astype("float64")
            for v in (wrapper.log_variance, dense.kernel)
        )
        expected = authors_divergence(log_variance - np.log(kernel**2 + 1e-8))
        for training in (True, False):
            run(wrapper, np.ones((2, 4), "float32"), training)
            (penalty,) = wrapper.losses
            np.testing.assert_allclose(
                value(penalty), scale * expected, rtol=1e-4
            )


@pytest.mark.parametrize("log_alpha", [-6.0, -2.0, 0.0, 2.0, 6.0])
def test_penalty_is_close_to_the_integral_that_it_stands_for(log_alpha):
    # KL = E log|1 + sqrt(alpha) z| - 0.5 log(alpha) + constant, where the
    # constant makes it vanish for an infinite alpha: (gamma + log 2) / 2.
    width = 40.0
    z = np.linspace(-width, width, 1_000_000)  # Misses the singularity.
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    log = np.log(np.abs(1 + np.exp(log_alpha / 2) * z))
    integral = np.sum(density * log) * (z[1] - z[0])
    exact = integral - 0.5 * log_alpha + (np.euler_gamma + np.log(2)) / 2
    wrapper = with_log_alpha(log_alpha)
    run(wrapper, np.ones((1, 1), "float32"))
    np.testing.assert_allclose(value(wrapper.losses[0]), exact, atol=0.02)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: layers.Dense(3, bias_initializer="ones"), (4,)),
        (lambda: layers.Conv1D(3, 2), (3, 2)),
        (lambda: layers.Conv2DTranspose(2, 2), (2, 2, 2)),
        (lambda: layers.DepthwiseConv1D(2), (3, 2)),
        (
            lambda: layers.EinsumDense("abc,cd->abd", (None, 3)),
            (2, 4),
        ),
    ],
)
def test_outputs_have_the_moments_of_gaussian_weights(layer, shape):
    rng = np.random.default_rng(0)
    x = rng.normal(1, 1, size=shape).astype("float32")
    layer = layer()
    wrapper = VariationalDropout(layer, 10, seed=0)
    wrapper.build((None, *shape))
    log_variance = rng.uniform(-4, 0, size=wrapper.log_variance.shape)
    wrapper.log_variance.assign(log_variance)
    draws = run(wrapper, np.repeat(x[None], 4000, 0))
    np.testing.assert_allclose(
        draws.mean(0),
        run(layer, x[None])[0],
        atol=4 * draws.std() / np.sqrt(4000) * 2,
    )
    plain = type(layer).from_config(layer.get_config())
    plain.build((None, *shape))
    plain.set_weights(
        [np.exp(log_variance), *(0 * w for w in layer.get_weights()[1:])]
    )
    # The deviation of a deviation from 4000 draws is 1 / sqrt(8000).
    np.testing.assert_allclose(
        draws.std(0), np.sqrt(run(plain, x[None] ** 2)[0]), rtol=4 * 0.0112
    )
    # Positions and units are drawn by themselves.
    flat = (draws - draws.mean(0)).reshape(4000, -1)
    away = np.corrcoef(flat.T) - np.eye(flat.shape[1])
    assert np.abs(away).max() < 5 / np.sqrt(4000)


def test_noise_comes_before_the_activation():
    dense = layers.Dense(2, activation="relu", kernel_initializer="zeros")
    wrapper = VariationalDropout(dense, 10, initial_log_variance=0.0, seed=0)
    y = run(wrapper, np.ones((500, 3), "float32"))
    assert y.min() == 0
    # Half of a Gaussian of mean 0: one sigma is 0.016.
    assert abs(np.mean(y == 0) - 0.5) < 4 * 0.016
    assert dense.activation is keras.activations.relu


def test_without_variance_training_is_plain():
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    wrapper = VariationalDropout(
        layers.Dense(3), 10, initial_log_variance=-60.0
    )
    np.testing.assert_allclose(
        run(wrapper, x), run(wrapper.layer, x), rtol=1e-5, atol=1e-5
    )


def test_weights_that_are_noise_are_zero_at_inference():
    dense = layers.Dense(4, use_bias=False, kernel_initializer="ones")
    wrapper = VariationalDropout(dense, 10, threshold=2.0)
    wrapper.build((None, 1))
    wrapper.log_variance.assign([[-9.0, 1.9, 2.1, 9.0]])
    np.testing.assert_allclose(
        ops.convert_to_numpy(wrapper.log_alpha), [[-9, 1.9, 2.1, 9]], rtol=1e-6
    )
    x = np.ones((1, 1), "float32")
    for y in (run(wrapper, x, False), run(wrapper.strip(), x)):
        np.testing.assert_array_equal(y, [[1, 1, 0, 0]])
    assert value(wrapper.sparsity) == 0.5
    # Training still draws around the mean, of pruned weights too.
    draws = run(wrapper, np.ones((4000, 1), "float32"))
    deviation = np.exp([-4.5, 0.95, 1.05, 4.5])
    assert (np.abs(draws.mean(0) - 1) < 4 * deviation / np.sqrt(4000)).all()


@pytest.fixture
def floatx():
    """The precision of a gradient check; on JAX float64 is switched off."""
    floatx = "float32" if keras.config.backend() == "jax" else "float64"
    keras.config.set_floatx(floatx)
    yield floatx
    keras.config.set_floatx("float32")


def test_gradients_agree_with_finite_differences(floatx):
    tolerance = {"float64": 1e-7, "float32": 1e-4}[floatx]
    rng = np.random.default_rng(0)
    x, y, kernel = (rng.normal(size=s) for s in ((5, 3), (5, 2), (3, 2)))
    log_variance = rng.uniform(-3, 1, size=(3, 2))
    dense = layers.Dense(2, use_bias=False, dtype=floatx)
    wrapper = VariationalDropout(dense, 10, seed=4)
    inputs = keras.Input((3,), dtype=floatx)
    model = keras.Model(inputs, wrapper(inputs))
    # Eagerly: with a loss that is linear in the prediction, TensorFlow's graph
    # optimizer may update one weight before the other's gradient has read it.
    model.compile(
        keras.optimizers.SGD(1.0),
        lambda y, p: ops.sum(y * p, -1),
        run_eagerly=True,
    )
    wrapper.seed_generator.state.assign([4, 0])
    noise = ops.convert_to_numpy(
        keras.random.normal(
            (5, 2), dtype=floatx, seed=keras.random.SeedGenerator(4)
        )
    )

    def loss(kernel, log_variance):
        deviation = np.sqrt(x**2 @ np.exp(log_variance))
        outputs = x @ kernel + deviation * noise
        log_alpha = log_variance - np.log(kernel**2 + 1e-8)
        penalty = authors_divergence(log_alpha) / 10
        return np.mean(np.sum(y * outputs, -1)) + penalty

    dense.kernel.assign(kernel)
    wrapper.log_variance.assign(log_variance)
    model.train_on_batch(x, y)
    start = [kernel, log_variance]
    for i, variable in enumerate([dense.kernel, wrapper.log_variance]):
        gradient = start[i] - ops.convert_to_numpy(variable)
        for at in np.ndindex(3, 2):
            slope = 0
            for sign in (1, -1):
                point = [w.copy() for w in start]
                point[i][at] += sign * 1e-6
                slope += sign * loss(*point) / 2e-6
            np.testing.assert_allclose(
                gradient[at], slope, rtol=tolerance, atol=tolerance
            )


def test_training_prunes_the_inputs_that_do_not_matter():
    rng = np.random.default_rng(0)
    # One epoch of 100 steps.
    x = rng.normal(size=(100 * 256, 4)).astype("float32")
    y = x[:, :1] - 2 * x[:, 1:2]
    wrapper = VariationalDropout(
        layers.Dense(1), 256, precision=0.1, initial_log_variance=-4.0, seed=0
    )
    model = keras.Sequential([keras.Input((4,)), wrapper])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    wrapper.layer.kernel.assign([[1.0], [-2.0], [0.1], [-0.1]])
    model.fit(x, y, batch_size=256, verbose=0)
    kernel = ops.convert_to_numpy(wrapper.strip().kernel)[:, 0]
    np.testing.assert_array_equal(kernel != 0, [True, True, False, False])


def test_zero_inputs_give_finite_gradients():
    wrapper = VariationalDropout(layers.Dense(2), 10)
    model = keras.Sequential([keras.Input((3,)), wrapper])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.train_on_batch(np.zeros((4, 3)), np.ones((4, 2)))
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(2),
        layers.SeparableConv1D(2, 1),
        layers.Embedding(3, 2),
        layers.Dropout(0.5),
    ],
)
def test_other_layers_are_refused(layer):
    with pytest.raises(ValueError, match="`layer` must.*Received: layer="):
        VariationalDropout(layer, 10)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("dataset_size", 0),
        ("precision", -1),
        ("initial_log_variance", float("nan")),
        ("threshold", float("inf")),
        ("threshold", "a"),
        ("seed", -3),
    ],
)
def test_bad_argument_says_what_was_received(name, bad):
    options = {"dataset_size": 10, name: bad}
    with pytest.raises(ValueError, match=f"`{name}`.*{name}={bad}"):
        VariationalDropout(layers.Dense(2), **options)
