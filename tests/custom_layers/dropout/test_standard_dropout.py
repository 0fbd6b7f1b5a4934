import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import StandardDropout


def run(layer, x, training=True):
    return ops.convert_to_numpy(layer(x, training=training))


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("training", [True, False])
def test_identity_at_rate_zero(training):
    x = normal(8, 3)
    np.testing.assert_array_equal(run(StandardDropout(0), x, training), x)


def test_survivors_are_not_scaled_in_training():
    x = normal(64, 64)
    y = run(StandardDropout(0.2, seed=0), x)
    dropped = y == 0
    np.testing.assert_array_equal(y, np.where(dropped, 0, x))
    # Binomial(4096, 0.2) / 4096: one sigma is 0.00625.
    assert abs(dropped.mean() - 0.2) < 4 * 0.00625


def test_units_are_scaled_at_inference():
    x = normal(8, 3)
    np.testing.assert_allclose(
        run(StandardDropout(0.2), x, training=False), 0.8 * x, rtol=1e-6
    )


def test_inference_is_the_mean_over_the_masks():
    x = np.broadcast_to(normal(1, 4), (4096, 4))
    layer = StandardDropout(0.3, seed=0)
    mean = run(layer, x).mean(axis=0)
    sigma = abs(x[0]) * np.sqrt(0.3 * 0.7 / 4096)
    assert (abs(mean - run(layer, x, False)[0]) < 4 * sigma).all()


@pytest.mark.parametrize(
    ("noise_shape", "shared"),
    [((None, 1, None), 1), ([1, None, None], 0), ((64, 16, 1), 2)],
)
def test_noise_shape_shares_the_mask_along_an_axis(noise_shape, shared):
    layer = StandardDropout(0.5, noise_shape=noise_shape, seed=0)
    y = run(layer, np.ones((64, 16, 8), "float32"))
    np.testing.assert_array_equal(y.min(axis=shared), y.max(axis=shared))
    draws = y.max(axis=shared)
    # Binomial(n, 0.5) / n has sigma 0.5 / sqrt(n).
    assert abs(draws.mean() - 0.5) < 4 * 0.5 / np.sqrt(draws.size)
    for axis in (0, 1):  # And along no other.
        assert (draws.min(axis=axis) != draws.max(axis=axis)).any()
    config = layer.get_config()
    clone = keras.layers.deserialize(keras.layers.serialize(layer))
    assert clone.get_config() == config
    np.testing.assert_array_equal(run(clone, np.ones((64, 16, 8))), y)


def test_dropped_unit_hides_non_finite_values():
    y = run(StandardDropout(0.5, seed=0), np.full((64, 2), np.inf, "float32"))
    assert set(np.unique(y)) == {0, np.inf}


def test_gradient_is_the_mask():
    mask = run(StandardDropout(0.2, seed=3), np.ones((64, 2), "float32"))
    inputs = keras.Input((), dtype="int32")
    table = keras.layers.Embedding(64, 2)
    model = keras.Model(inputs, StandardDropout(0.2, seed=3)(table(inputs)))
    model.compile(keras.optimizers.SGD(1.0), lambda _, y: ops.sum(y))
    before = ops.convert_to_numpy(table.embeddings).copy()
    model.train_on_batch(np.arange(64), np.zeros((64, 2)))
    gradient = before - ops.convert_to_numpy(table.embeddings)
    assert set(mask.ravel().tolist()) == {0, 1}
    np.testing.assert_allclose(gradient, mask, rtol=1e-6, atol=1e-7)


@pytest.mark.skipif(
    keras.config.backend() == "torch",
    reason="torch.compile takes 20 s a model",
)
def test_xla_drops_the_same_share():
    class Always(StandardDropout):
        def call(self, inputs):
            return super().call(inputs, training=True)

    inputs = keras.Input((64,))
    model = keras.Model(inputs, Always(0.2, seed=0)(inputs))
    model.compile(jit_compile=True)
    y = model.predict(np.ones((64, 64), "float32"), batch_size=40, verbose=0)
    assert set(np.unique(y)) == {0, 1}
    assert abs(np.mean(y == 0) - 0.2) < 4 * 0.00625  # As above.


def test_small_rate_is_met_when_floats_are_bfloat16():
    floatx = keras.config.floatx()
    keras.config.set_floatx("bfloat16")
    try:
        y = StandardDropout(0.003, seed=0)(ops.ones((65536,)), training=True)
    finally:
        keras.config.set_floatx(floatx)
    share = np.mean(ops.convert_to_numpy(ops.cast(y, "float32")) == 0)
    # Draws in steps of 1 / 128 would drop 0.0078. One sigma is 0.0002.
    assert abs(share - 0.003) < 4 * 0.0002


@pytest.mark.parametrize("rate", [-0.1, 1, 20, float("nan"), None, "half"])
def test_bad_rate_says_what_was_received(rate):
    with pytest.raises(ValueError, match=rf"`rate`.*\[0, 1\).*rate={rate}"):
        StandardDropout(rate)


@pytest.mark.parametrize("noise_shape", ["ab", 3, (0, 1), (None, 1.5)])
def test_bad_noise_shape_says_what_was_received(noise_shape):
    with pytest.raises(
        ValueError, match=r"`noise_shape` must.*Received: noise"
    ):
        StandardDropout(0.5, noise_shape=noise_shape)


def test_noise_shape_of_another_rank_is_refused():
    layer = StandardDropout(0.5, noise_shape=(None, 1, None))
    with pytest.raises(ValueError, match=r"rank of the inputs, 2.*None, 1"):
        layer(np.ones((2, 3), "float32"), training=True)


def test_bad_seed_is_refused():
    with pytest.raises(ValueError, match="seed=-3"):
        StandardDropout(0.1, seed=-3)
