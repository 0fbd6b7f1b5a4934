import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import ScheduledDropout, StandardDropout

BACKEND = keras.config.backend()


def run(layer, x, training=True):
    return ops.convert_to_numpy(layer(x, training=training))


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0, True)])
def test_identity_when_nothing_can_drop(rate, training):
    x = normal(8, 3)
    np.testing.assert_array_equal(run(ScheduledDropout(rate), x, training), x)


@pytest.mark.skipif(
    BACKEND != "tensorflow",
    reason="Keras draws otherwise there: see the test of the law",
)
@pytest.mark.parametrize("noise_shape", [None, (None, 1)])
def test_gives_the_values_of_keras_dropout_of_the_same_seed(noise_shape):
    x = normal(64, 16)
    arguments = {"noise_shape": noise_shape, "seed": 3}
    theirs = keras.layers.Dropout(0.4, **arguments)
    layer = ScheduledDropout(0.0, **arguments)
    layer.rate = 0.4
    for _ in range(2):
        ours, expected = run(layer, x), run(theirs, x)
        np.testing.assert_array_equal(ours == 0, expected == 0)
        np.testing.assert_allclose(ours, expected, rtol=3e-7)


def test_follows_the_law_of_keras_dropout():
    x = normal(64, 64)
    layer = ScheduledDropout(0.0, seed=3)
    layer.rate = 0.2
    for dropout in (layer, keras.layers.Dropout(0.2, seed=3)):
        y = run(dropout, x)
        dropped = y == 0
        np.testing.assert_allclose(
            y, np.where(dropped, 0, x / np.float32(0.8)), rtol=3e-7
        )
        # Binomial(4096, 0.2) / 4096: one sigma is 0.00625.
        assert abs(dropped.mean() - 0.2) < 4 * 0.00625


def test_masks_are_those_of_the_2014_layer():
    x = normal(64, 16)
    arguments = {"rate": 0.25, "seed": 3}
    ours, theirs = (
        run(layer(**arguments), x)
        for layer in (ScheduledDropout, StandardDropout)
    )
    np.testing.assert_allclose(ours, theirs / np.float32(0.75), rtol=3e-7)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_callback_changes_the_rate_of_a_compiled_fit(jit_compile):
    if BACKEND == "torch" and jit_compile:
        pytest.skip("torch.compile takes 20 s a model")
    layer = ScheduledDropout(0.0, seed=0)
    ones = keras.layers.Dense(4096, bias_initializer="ones")
    inputs = keras.Input((1,))
    model = keras.Model(inputs, layer(ones(inputs)))

    def share_dropped(_, y):
        dropped = ops.cast(y == 0, "float32")
        return ops.mean(dropped + 0 * y, axis=-1)

    model.compile("sgd", share_dropped, jit_compile=jit_compile)
    rates = [0.0, 0.2, 0.7, 0.0]
    schedule = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: setattr(layer, "rate", rates[epoch])
    )
    x = np.zeros((2, 1), "float32")
    history = model.fit(x, x, epochs=4, callbacks=[schedule], verbose=0)
    shares = history.history["loss"]
    assert shares[0] == shares[3] == 0
    # Of 8192 units; one sigma is sqrt(0.21 / 8192) = 0.005 at most.
    np.testing.assert_allclose(shares, rates, rtol=0, atol=4 * 0.005)


def test_rate_is_set_by_value_or_by_assignment_to_the_variable():
    layer = ScheduledDropout(0.0, seed=0)
    for assign in (
        lambda rate: setattr(layer, "rate", rate),
        layer.rate.assign,
    ):
        assign(0.75)
        assert float(layer.rate) == 0.75
        assert 0.5 < np.mean(run(layer, np.ones((64, 8))) == 0) < 0.95
        assign(0.0)
        assert run(layer, np.ones((64, 8))).min() == 1


def test_current_rate_is_saved_and_the_first_is_in_the_config(tmp_path):
    layer = ScheduledDropout(0.0)
    model = keras.Sequential([keras.Input((3,)), layer])
    layer.rate = 0.3
    assert layer.get_config()["rate"] == 0
    model.save(tmp_path / "model.keras")
    (loaded,) = keras.saving.load_model(tmp_path / "model.keras").layers
    assert float(loaded.rate) == np.float32(0.3)
    assert [w.name for w in layer.weights] == ["rate"]
    assert layer.trainable_weights == []


def test_gradient_is_the_mask_over_the_share_that_is_kept():
    mask = run(ScheduledDropout(0.2, seed=3), np.ones((64, 2), "float32"))
    inputs = keras.Input((), dtype="int32")
    table = keras.layers.Embedding(64, 2)
    model = keras.Model(inputs, ScheduledDropout(0.2, seed=3)(table(inputs)))
    model.compile(keras.optimizers.SGD(1.0), lambda _, y: ops.sum(y))
    before = ops.convert_to_numpy(table.embeddings).copy()
    model.train_on_batch(np.arange(64), np.zeros((64, 2)))
    gradient = before - ops.convert_to_numpy(table.embeddings)
    np.testing.assert_allclose(np.unique(mask), [0, 1.25], rtol=1e-6)
    np.testing.assert_allclose(gradient, mask, rtol=1e-6, atol=1e-6)


def test_dropped_unit_hides_non_finite_values():
    y = run(ScheduledDropout(0.5, seed=0), np.full((64, 2), np.inf, "float32"))
    assert set(np.unique(y)) == {0, np.inf}


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float16"])
def test_small_rate_is_met_in_half_precision(policy):
    layer = ScheduledDropout(0.003, seed=0, dtype=policy)
    y = layer(ops.ones((65536,)), training=True)
    assert layer.rate.dtype == "float32"
    share = np.mean(ops.convert_to_numpy(ops.cast(y, "float32")) == 0)
    # Draws in steps of 1 / 128 would drop 0.0078. One sigma is 0.0002.
    assert abs(share - 0.003) < 4 * 0.0002


@pytest.mark.parametrize("rate", [-0.1, 1, 20, float("nan"), None, "half"])
def test_bad_rate_says_what_was_received(rate):
    with pytest.raises(ValueError, match=rf"`rate`.*\[0, 1\).*rate={rate}"):
        ScheduledDropout(rate)
    layer = ScheduledDropout(0.25)
    with pytest.raises(ValueError, match=rf"`rate`.*\[0, 1\).*rate={rate}"):
        layer.rate = rate
    assert float(layer.rate) == 0.25


def test_other_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="seed=-3"):
        ScheduledDropout(0.1, seed=-3)
    with pytest.raises(ValueError, match="noise_shape=ab"):
        ScheduledDropout(0.1, noise_shape="ab")
