import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import StochasticDepth, linear_decay_rates


def run(layer, x, training=True):
    return ops.convert_to_numpy(layer(x, training=training))


@pytest.mark.parametrize("mode", ["row", "batch"])
@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0, True)])
def test_identity_when_nothing_can_drop(mode, rate, training):
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    layer = StochasticDepth(rate, mode=mode)
    np.testing.assert_array_equal(run(layer, x, training), x)


@pytest.mark.parametrize("shape", [(4096,), (4096, 3), (4096, 2, 2, 3)])
def test_row_mode_drops_each_sample_whole_or_rescales_it(shape):
    y = run(StochasticDepth(0.2, seed=0), np.ones(shape, "float32"))
    assert y.shape == shape
    y = y.reshape(4096, -1)
    np.testing.assert_array_equal(y.min(axis=1), y.max(axis=1))
    np.testing.assert_allclose(np.unique(y), [0, 1.25], rtol=1e-6)
    # The dropped share is Binomial(4096, 0.2) / 4096: one sigma is 0.00625.
    assert abs(np.mean(y[:, 0] == 0) - 0.2) < 4 * 0.00625


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 2, 2, 3)])
def test_batch_mode_gives_the_whole_batch_one_fate(shape):
    layer = StochasticDepth(0.2, mode="batch", seed=0)
    x = np.ones(shape, "float32")
    y = np.stack([run(layer, x).ravel() for _ in range(200)])
    np.testing.assert_array_equal(y.min(axis=1), y.max(axis=1))
    np.testing.assert_allclose(np.unique(y), [0, 1.25], rtol=1e-6)
    # Binomial(200, 0.2) / 200: one sigma is 0.0283.
    assert abs(np.mean(y[:, 0] == 0) - 0.2) < 4 * 0.0283


def test_dropped_branch_hides_non_finite_values():
    y = run(StochasticDepth(0.5, seed=0), np.full((64, 2), np.inf, "float32"))
    assert set(np.unique(y)) == {0, np.inf}


def test_gradient_is_that_of_a_product_with_the_same_draws():
    rows = np.arange(64)
    scale = run(StochasticDepth(0.2, seed=3), np.ones((64, 1), "float32"))
    inputs = keras.Input((), dtype="int32")
    table = keras.layers.Embedding(64, 2)
    model = keras.Model(inputs, StochasticDepth(0.2, seed=3)(table(inputs)))
    model.compile(keras.optimizers.SGD(1.0), lambda _, y: ops.sum(y))
    before = ops.convert_to_numpy(table.embeddings).copy()
    model.train_on_batch(rows, np.zeros((64, 2)))
    gradient = before - ops.convert_to_numpy(table.embeddings)
    assert scale.min() == 0 < scale.max()
    np.testing.assert_allclose(
        gradient, np.repeat(scale, 2, 1), rtol=1e-6, atol=1e-7
    )


@pytest.mark.skipif(
    keras.config.backend() == "torch",
    reason="torch.compile takes 20 s a model",
)
@pytest.mark.parametrize("mode", ["row", "batch"])
def test_xla_drops_the_same_share(mode):
    class Always(StochasticDepth):
        def call(self, inputs):
            return super().call(inputs, training=True)

    inputs = keras.Input((1,))
    model = keras.Model(inputs, Always(0.2, mode=mode, seed=0)(inputs))
    model.compile(jit_compile=True)
    x = np.ones((4096 if mode == "row" else 256, 1), "float32")
    y = model.predict(x, batch_size=4096 if mode == "row" else 1, verbose=0)
    np.testing.assert_allclose(np.unique(y), [0, 1.25], rtol=1e-6)
    sigma = np.sqrt(0.2 * 0.8 / len(x))  # Of a binomial share.
    assert abs(np.mean(y == 0) - 0.2) < 4 * sigma


def test_small_rate_is_met_when_floats_are_bfloat16():
    floatx = keras.config.floatx()
    keras.config.set_floatx("bfloat16")
    try:
        y = StochasticDepth(0.003, seed=0)(ops.ones((65536,)), training=True)
    finally:
        keras.config.set_floatx(floatx)
    share = np.mean(ops.convert_to_numpy(ops.cast(y, "float32")) == 0)
    # Draws in steps of 1 / 128 would drop 0.0078. One sigma is 0.0002.
    assert abs(share - 0.003) < 4 * 0.0002


def test_numpy_scalar_rate_becomes_a_plain_float():
    rate = StochasticDepth(np.float32(0.25)).get_config()["rate"]
    assert (type(rate), rate) == (float, 0.25)


@pytest.mark.parametrize("rate", [-0.1, 1, 20, float("nan"), None, "half"])
def test_bad_rate_says_what_was_received(rate):
    with pytest.raises(ValueError, match=rf"`rate`.*\[0, 1\).*rate={rate}"):
        StochasticDepth(rate)
    with pytest.raises(ValueError, match=rf"`rate`.*\[0, 1\).*rate={rate}"):
        linear_decay_rates(rate, 3)


def test_bad_mode_says_what_was_received():
    with pytest.raises(ValueError, match=r"batch.*mode='sample'"):
        StochasticDepth(0.1, mode="sample")


def test_bad_seed_is_refused():
    with pytest.raises(ValueError, match="seed=-3"):
        StochasticDepth(0.1, seed=-3)


def test_rates_grow_linearly_to_the_last():
    # Huang et al., section 3: L = 54 branches, survival 1 to 0.5.
    rates = linear_decay_rates(0.5, 54)
    np.testing.assert_allclose(rates, 0.5 * np.arange(1, 55) / 54, rtol=1e-12)
    assert linear_decay_rates(0.3, 1) == [0.3]
    # The last rate is the one that was asked for, to the bit.
    for count in range(1, 50):  # 0.1 * 3 / 3 is not 0.1.
        assert linear_decay_rates(0.1, count)[-1] == 0.1
    assert linear_decay_rates(0, 3) == [0, 0, 0]


@pytest.mark.parametrize("count", [0, -2, 2.0, "six"])
def test_bad_number_of_branches_says_what_was_received(count):
    with pytest.raises(ValueError, match=f"num_branches={count}"):
        linear_decay_rates(0.5, count)
