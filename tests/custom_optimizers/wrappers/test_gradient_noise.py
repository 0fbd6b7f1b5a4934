import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import GradientNoise


def steps(optimizer, gradients):
    """Returns the differences that the steps make."""
    variable = keras.Variable(np.zeros_like(gradients[0]))
    found = [np.zeros_like(gradients[0])]
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
        found.append(ops.convert_to_numpy(variable).copy())
    return np.diff(found, axis=0)


def sgd(**options):
    return keras.optimizers.SGD(1.0, **options)


def test_variance_decays_and_the_mean_stays():
    gradients = np.full((9, 10_000), 0.5, "float32")
    found = steps(GradientNoise(sgd(), 0.25, 0.5, seed=1), gradients)
    deviation = 0.5 / np.arange(1, 10) ** 0.25
    # Of 10,000 draws, one sigma is 1 % of the deviation for the mean and
    # 0.7 % for the deviation.
    np.testing.assert_allclose(found.mean(1), -0.5, atol=0.02)
    np.testing.assert_allclose(found.std(1), deviation, rtol=0.03)
    # Fresh noise in each step.
    correlations = np.corrcoef(found) - np.eye(9)
    assert np.abs(correlations).max() < 0.05


def test_noise_of_a_mean_over_gradients_is_that_of_one():
    gradients = np.zeros((4, 10_000), "float32")
    inner = sgd(gradient_accumulation_steps=4)
    found = steps(GradientNoise(inner, 0.25, seed=1), gradients)
    np.testing.assert_array_equal(found[:3], 0)
    assert found[3].std() == pytest.approx(0.5, rel=0.03)


def test_noise_comes_after_clipping():
    gradients = np.full((1, 10_000), 100.0, "float32")
    for clipping in ("clipnorm", "global_clipnorm"):
        options = {clipping: 1.0, "seed": 1}
        found = steps(GradientNoise(sgd(), 0.25, **options), gradients)
        assert found.mean() == pytest.approx(-0.01, abs=0.02)
        assert found.std() == pytest.approx(0.5, rel=0.03)
    found = steps(GradientNoise(sgd(), 0.0, clipvalue=2.0), gradients)
    np.testing.assert_array_equal(found, -2)


def test_noise_and_clipping_know_of_a_scaled_loss():
    gradients = np.full((1, 10_000), 1024.0, "float32")
    optimizer = GradientNoise(sgd(loss_scale_factor=1024.0), 0.25, seed=1)
    found = steps(optimizer, gradients)
    assert found.mean() == pytest.approx(-1, abs=0.02)
    assert found.std() == pytest.approx(0.5, rel=0.03)
    inner = sgd(loss_scale_factor=1024.0)
    found = steps(GradientNoise(inner, 0.0, clipvalue=0.5), gradients)
    np.testing.assert_array_equal(found, -0.5)


def test_clips_rows_of_an_embedding_as_their_sum():
    layer = keras.layers.Embedding(3, 1, embeddings_initializer="zeros")
    model = keras.Sequential([keras.Input((3,)), layer])
    optimizer = GradientNoise(sgd(), 0.0, clipvalue=0.5)
    model.compile(optimizer, lambda _, outputs: outputs)
    x = np.array([[0, 0, 1]])
    model.fit(x, x, verbose=0)
    found = ops.convert_to_numpy(layer.embeddings)[:, 0]
    # Two and one of three, the former clipped.
    np.testing.assert_allclose(found, [-0.5, -1 / 3, 0], rtol=1e-6)


def test_no_variance_is_the_inner_optimizer_to_the_bit():
    gradients = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    found = steps(GradientNoise("adam", 0.0), gradients)
    plain = steps(keras.optimizers.Adam(), gradients)
    np.testing.assert_array_equal(found, plain)


def test_seed_fixes_the_noise():
    gradients = np.zeros((2, 5), "float32")
    one, same, other = (
        steps(GradientNoise(sgd(), seed=seed), gradients) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).min() > 0


@pytest.mark.parametrize("name", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_clipping_after_the_noise_is_refused(name):
    with pytest.raises(ValueError, match=rf"`{name}` to `Gradient.*{name}=1"):
        GradientNoise(sgd(**{name: 1.0}))


def test_clipping_twice_or_before_accumulation_is_refused():
    with pytest.raises(ValueError, match="At most one"):
        GradientNoise(sgd(), clipnorm=1.0, clipvalue=1.0)
    with pytest.raises(ValueError, match="gradient_accumulation_steps=2"):
        GradientNoise(sgd(gradient_accumulation_steps=2), clipnorm=1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("variance", -1.0), ("decay", float("nan")), ("clipnorm", 0.0)],
)
def test_bad_argument_says_what_was_received(name, value):
    with pytest.raises(ValueError, match=rf"`{name}`.*{name}={value}"):
        GradientNoise("sgd", **{name: value})
