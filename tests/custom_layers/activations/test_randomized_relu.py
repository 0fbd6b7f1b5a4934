import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_regimen.custom_layers import RandomizedReLU

torch = pytest.importorskip("torch")


def run(layer, x, training=True):
    return ops.convert_to_numpy(layer(x, training=training))


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("slopes", [(), (0.25, 0.5), (0.0, 1.0)])
def test_inference_equals_pytorch(slopes):
    x = normal(8, 16)
    expected = torch.nn.RReLU(*slopes).eval()(torch.tensor(x)).numpy()
    y = run(RandomizedReLU(*slopes), x, training=False)
    np.testing.assert_allclose(y, expected, rtol=3e-7)


@pytest.mark.parametrize("slopes", [(), (0.25, 0.5)])
def test_training_follows_the_law_of_pytorch(slopes):
    x = normal(64, 64)
    torch.manual_seed(0)
    theirs = torch.nn.RReLU(*slopes).train()(torch.tensor(x)).numpy()
    ours = run(RandomizedReLU(*slopes, seed=0), x)
    below = x < 0
    for y in (ours, theirs):
        np.testing.assert_array_equal(y[~below], x[~below])
    drawn = [y[below] / x[below] for y in (ours, theirs)]
    assert stats.ks_2samp(*drawn).pvalue > 1e-3
    lower, upper = slopes or (1 / 8, 1 / 3)
    uniform = stats.uniform(lower, upper - lower)
    assert stats.kstest(drawn[0], uniform.cdf).pvalue > 1e-3
    # Each value has its own: some 2000 draws of 2**23 numbers or so.
    assert len(np.unique(drawn[0])) > 0.99 * len(drawn[0])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0])
def test_equal_bounds_are_the_leaky_rectifier(slope, training):
    x = normal(8, 3)
    leaky = keras.layers.LeakyReLU(slope)
    y = run(RandomizedReLU(slope, slope), x, training)
    np.testing.assert_array_equal(y, ops.convert_to_numpy(leaky(x)))


def test_inference_is_the_mean_over_the_slopes():
    x = -np.ones((16384, 1), "float32")
    layer = RandomizedReLU(0.2, 0.8, seed=0)
    # A uniform draw has sigma 0.6 / sqrt(12).
    sigma = 0.6 / np.sqrt(12) / np.sqrt(16384)
    assert abs(run(layer, x).mean() - run(layer, x, False)[0, 0]) < 4 * sigma


def test_gradient_is_the_slope():
    values = normal(64, 2)
    arguments = {"lower": 0.1, "upper": 0.9, "seed": 3}
    slopes = run(RandomizedReLU(**arguments), values) / values
    inputs = keras.Input((), dtype="int32")
    table = keras.layers.Embedding(64, 2)
    model = keras.Model(inputs, RandomizedReLU(**arguments)(table(inputs)))
    table.set_weights([values])
    model.compile(keras.optimizers.SGD(1.0), lambda _, y: ops.sum(y))
    model.train_on_batch(np.arange(64), np.zeros((64, 2)))
    gradient = values - ops.convert_to_numpy(table.embeddings)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lower": -0.1}, r"`lower`.*\[0, 1\].*lower=-0.1"),
        ({"upper": 3}, r"`upper`.*\[0, 1\].*upper=3"),
        ({"upper": float("nan")}, "`upper`.*upper=nan"),
        ({"lower": "some"}, "`lower`.*lower=some"),
        (
            {"lower": 0.5, "upper": 0.25},
            "at most `upper`.*lower=0.5, upper=0.25",
        ),
        ({"seed": -3}, "seed=-3"),
    ],
)
def test_bad_argument_says_what_was_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomizedReLU(**arguments)
