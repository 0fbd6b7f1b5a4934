import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import ConcreteDropout


def run(layer, x, training=True):
    return ops.convert_to_numpy(layer(x, training=training))


def value(tensor):
    return float(ops.convert_to_numpy(tensor))


def logit(p):
    return np.log(p / (1 - p))


def authors_penalty(p, kernel, weight_regularizer, dropout_regularizer):
    """What the authors' `ConcreteDropout.build` adds to the losses."""
    penalty = weight_regularizer * np.sum(kernel**2) / (1 - p)
    entropy = p * np.log(p) + (1 - p) * np.log(1 - p)
    return penalty + dropout_regularizer * entropy * kernel.shape[-2]


def authors_dropout(x, p, uniform, temperature):
    """What the authors' `concrete_dropout` makes of its inputs."""
    dropped = logit(p) + np.log(uniform) - np.log(1 - uniform)
    dropped = 1 / (1 + np.exp(-dropped / temperature))
    return x * (1 - dropped) / (1 - p)


def identity(shape, **options):
    """Returns a layer that hands on its inputs, wrapped."""
    dense = layers.Dense(
        shape[-1], kernel_initializer="identity", use_bias=False
    )
    wrapper = ConcreteDropout(dense, 10, **options)
    wrapper.build(shape)
    return wrapper


@pytest.mark.parametrize("p", [0.1, 0.7])
def test_inputs_are_dropped_by_the_authors_formula(p):
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    wrapper = identity((6, 4), initial_rate=p, temperature=0.3, seed=5)
    uniform = keras.random.uniform(
        (6, 4), minval=1e-7, seed=keras.random.SeedGenerator(5)
    )
    expected = authors_dropout(x, p, ops.convert_to_numpy(uniform), 0.3)
    np.testing.assert_allclose(run(wrapper, x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(run(wrapper, x, training=False), x)


@pytest.mark.parametrize(
    ("precision", "factor"), [(None, 1 / 2), (1.0, 1), (4.0, 1 / 4)]
)
@pytest.mark.parametrize("training", [True, False])
def test_penalty_is_the_authors(precision, factor, training):
    # Their factors: l**2 / (precision * N) and 2 / (precision * N).
    dense = layers.Dense(3)
    wrapper = ConcreteDropout(
        dense, 50, length_scale=0.7, precision=precision, initial_rate=0.3
    )
    run(wrapper, np.ones((2, 4), "float32"), training)
    expected = authors_penalty(
        0.3,
        ops.convert_to_numpy(dense.kernel),
        factor * 0.7**2 / 50,
        factor * 2 / 50,
    )
    (penalty,) = wrapper.losses
    np.testing.assert_allclose(value(penalty), expected, rtol=1e-5)


def test_convolution_counts_and_drops_channels():
    conv = layers.Conv2D(3, 3)
    wrapper = ConcreteDropout(conv, 50, length_scale=0.7, initial_rate=0.3)
    run(wrapper, np.ones((2, 4, 4, 5), "float32"))
    expected = authors_penalty(
        0.3, ops.convert_to_numpy(conv.kernel), 0.7**2 / 100, 1 / 50
    )
    np.testing.assert_allclose(value(wrapper.losses[0]), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(2000, 3), (2000, 4, 3)])
def test_features_are_dropped_for_a_sample_as_a_whole(shape):
    wrapper = identity(shape, initial_rate=0.2, seed=0)
    y = run(wrapper, np.ones(shape, "float32")).reshape(2000, -1, 3)
    np.testing.assert_array_equal(y, y[:, :1].repeat(y.shape[1], 1))
    dropped = y[:, 0] < 0.5 / 0.8  # More than half: exactly the rate.
    # Binomial(6000, 0.2) / 6000: one sigma is 0.0052.
    assert abs(dropped.mean() - 0.2) < 4 * 0.0052
    # The features of a sample are independent of each other.
    assert np.abs(np.corrcoef(dropped.T) - np.eye(3)).max() < 4 / np.sqrt(2000)


def test_channels_first_are_found():
    if keras.config.backend() == "tensorflow":
        pytest.skip("no convolution with channels first on a CPU")
    conv = layers.Conv1D(
        3,
        1,
        data_format="channels_first",
        kernel_initializer="ones",
        use_bias=False,
    )
    wrapper = ConcreteDropout(conv, 10, initial_rate=0.5, seed=0)
    y = run(wrapper, np.ones((4, 2, 6), "float32"))
    assert wrapper.num_features == 2
    np.testing.assert_allclose(y, y[:, :1, :1] + 0 * y, rtol=1e-6)


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
    x, y, start = (rng.normal(size=s) for s in ((5, 3), (5, 2), (3, 2)))
    dense = layers.Dense(2, use_bias=False, dtype=floatx)
    wrapper = ConcreteDropout(
        dense, 10, length_scale=0.5, initial_rate=0.3, temperature=0.5, seed=4
    )
    inputs = keras.Input((3,), dtype=floatx)
    model = keras.Model(inputs, wrapper(inputs))
    # Eagerly: with a loss that is linear in the prediction, TensorFlow's graph
    # optimizer may update the kernel before the rate's gradient has read it.
    model.compile(
        keras.optimizers.SGD(1.0),
        lambda y, p: ops.sum(y * p, -1),
        run_eagerly=True,
    )
    wrapper.seed_generator.state.assign([4, 0])
    uniform = ops.convert_to_numpy(
        keras.random.uniform(
            (5, 3),
            minval=1e-7,
            dtype=floatx,
            seed=keras.random.SeedGenerator(4),
        )
    )

    def loss(kernel, rate_logit):
        p = 1 / (1 + np.exp(-rate_logit))
        outputs = authors_dropout(x, p, uniform, 0.5) @ kernel
        penalty = authors_penalty(p, kernel, 0.5**2 / 20, 1 / 10)
        return np.mean(np.sum(y * outputs, -1)) + penalty

    dense.kernel.assign(start)
    model.train_on_batch(x, y)
    slope = loss(start, logit(0.3) + 1e-6) - loss(start, logit(0.3) - 1e-6)
    np.testing.assert_allclose(
        logit(0.3) - value(wrapper.rate_logit),
        slope / 2e-6,
        rtol=tolerance,
        atol=tolerance,
    )
    gradient = start - ops.convert_to_numpy(dense.kernel)
    for at in np.ndindex(3, 2):
        step = np.zeros((3, 2))
        step[at] = 1e-6
        slope = loss(start + step, logit(0.3)) - loss(start - step, logit(0.3))
        np.testing.assert_allclose(
            gradient[at], slope / 2e-6, rtol=tolerance, atol=tolerance
        )


def test_rate_falls_with_much_data_and_rises_with_little():
    # One epoch of 40 steps.
    x = np.random.default_rng(0).normal(size=(40 * 64, 4)).astype("float32")

    def learned(dataset_size):
        dense = layers.Dense(4, kernel_initializer="identity", use_bias=False)
        model = keras.Sequential(
            [
                keras.Input((4,)),
                ConcreteDropout(dense, dataset_size, precision=10.0),
            ]
        )
        model.compile(keras.optimizers.Adam(0.05), "mse")
        model.fit(x, x, batch_size=64, verbose=0)
        return value(model.layers[-1].rate)

    assert learned(10**6) < 0.05 < 0.1 < 0.2 < learned(1)


@pytest.mark.parametrize(("extreme", "outputs"), [(-80.0, 1), (30.0, 0)])
def test_extreme_rates_stay_finite(extreme, outputs):
    wrapper = identity((2, 3))
    wrapper.rate_logit.assign(extreme)
    y = run(wrapper, np.ones((2, 3), "float32"))
    np.testing.assert_allclose(y, outputs, atol=1e-6)
    assert np.isfinite(value(wrapper.losses[0]))


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(2),
        layers.SeparableConv1D(2, 1),
        layers.EinsumDense("ab,bc->ac", output_shape=2),
        layers.Embedding(3, 2),
        layers.Dropout(0.5),
    ],
)
def test_other_layers_are_refused(layer):
    with pytest.raises(ValueError, match="`layer` must.*Received: layer="):
        ConcreteDropout(layer, 10)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("dataset_size", 0),
        ("length_scale", -1),
        ("length_scale", float("nan")),
        ("precision", 0),
        ("initial_rate", 0),
        ("initial_rate", 1),
        ("initial_rate", float("nan")),
        ("temperature", 0),
        ("temperature", float("inf")),
        ("seed", -3),
    ],
)
def test_bad_argument_says_what_was_received(name, bad):
    options = {"dataset_size": 10, name: bad}
    with pytest.raises(ValueError, match=f"`{name}`.*{name}={bad}"):
        ConcreteDropout(layers.Dense(2), **options)
