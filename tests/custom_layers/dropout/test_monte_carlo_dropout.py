import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import MonteCarloDropout, StandardDropout


def run(layer, x, training):
    return ops.convert_to_numpy(layer(x, training=training))


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("training", [True, False])
def test_identity_at_rate_zero(training):
    x = normal(8, 3)
    np.testing.assert_array_equal(run(MonteCarloDropout(0), x, training), x)


@pytest.mark.parametrize("training", [True, False, None])
@pytest.mark.parametrize("noise_shape", [None, (None, 1)])
def test_is_scaled_dropout_whether_training_or_not(training, noise_shape):
    x = normal(64, 8)
    arguments = {"rate": 0.2, "noise_shape": noise_shape, "seed": 3}
    layer, twin = MonteCarloDropout(**arguments), StandardDropout(**arguments)
    for _ in range(2):
        expected = run(twin, x, True) / np.float32(0.8)
        y = run(layer, x, training)
        np.testing.assert_allclose(y, expected, rtol=3e-7)
    # 64 rows or 512 units: sigma is 0.05 at most.
    assert abs(np.mean(y == 0) - 0.2) < 4 * 0.05


def test_predictions_are_samples_and_batch_norm_stays_in_inference():
    inputs = keras.Input((4,))
    norm = keras.layers.BatchNormalization()
    outputs = MonteCarloDropout(0.5, seed=0)(norm(inputs))
    model = keras.Model(inputs, outputs)
    statistics = np.array([[1.0] * 4, [3.0] * 4])
    norm.set_weights([np.ones(4), np.zeros(4), *statistics])
    x = normal(32, 4)
    first, second = (model.predict(x, verbose=0) for _ in range(2))
    assert ((first == 0) != (second == 0)).any()
    kept = first != 0
    expected = 2 * (x - 1) / np.sqrt(3 + 1e-3)
    np.testing.assert_allclose(first[kept], expected[kept], atol=1e-6)
    np.testing.assert_array_equal(norm.get_weights()[2:], statistics)


def test_gradient_is_the_mask_over_the_share_that_is_kept():
    arguments = {"rate": 0.2, "seed": 3}
    scale = run(MonteCarloDropout(**arguments), np.ones((64, 2)), False)
    inputs = keras.Input((), dtype="int32")
    table = keras.layers.Embedding(64, 2)
    model = keras.Model(inputs, MonteCarloDropout(**arguments)(table(inputs)))
    model.compile(keras.optimizers.SGD(1.0), lambda _, y: ops.sum(y))
    before = ops.convert_to_numpy(table.embeddings).copy()
    model.train_on_batch(np.arange(64), np.zeros((64, 2)))
    gradient = before - ops.convert_to_numpy(table.embeddings)
    np.testing.assert_allclose(np.unique(scale), [0, 1.25], rtol=1e-6)
    np.testing.assert_allclose(gradient, scale, rtol=1e-6, atol=1e-6)


def test_dropped_unit_hides_non_finite_values():
    layer = MonteCarloDropout(0.5, seed=0)
    y = run(layer, np.full((64, 2), np.inf, "float32"), False)
    assert set(np.unique(y)) == {0, np.inf}


@pytest.mark.parametrize("rate", [-0.1, 1, float("nan"), None])
def test_bad_rate_says_what_was_received(rate):
    with pytest.raises(ValueError, match=rf"`rate`.*\[0, 1\).*rate={rate}"):
        MonteCarloDropout(rate)
