import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import DropConnect
from keras_regimen.custom_layers.reparameterization.kernel_wrapper import (
    find_kernels,
)


def run(layer, x, training=True):
    return ops.convert_to_numpy(layer(x, training=training))


def ones(layer, shape, **options):
    """Returns the wrapper of a layer whose kernels are ones."""
    wrapper = DropConnect(layer, **options)
    wrapper.build(shape)
    for kernel in find_kernels(layer):
        kernel.content.assign(np.ones(kernel.shape))
    return wrapper


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0, True)])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: layers.Dense(3), (4, 5)),
        (lambda: layers.Conv2D(3, 2), (2, 4, 4, 2)),
        (lambda: layers.LSTM(3), (2, 4, 3)),
    ],
)
def test_layer_is_called_as_it_is_when_nothing_can_drop(
    layer, shape, rate, training
):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    wrapper = DropConnect(layer(), rate)
    outputs = run(wrapper, x, training)
    np.testing.assert_array_equal(outputs, run(wrapper.layer, x, training))
    np.testing.assert_array_equal(outputs, run(wrapper.strip(), x, False))


@pytest.mark.parametrize("seed", [1, 2])
def test_each_weight_is_dropped_by_itself_or_rescaled(seed):
    wrapper = ones(
        layers.Dense(64, use_bias=False), (None, 64), rate=0.2, seed=seed
    )
    kernel = run(wrapper, np.eye(64, dtype="float32"))
    np.testing.assert_allclose(np.unique(kernel), [0, 1.25], rtol=1e-6)
    dropped = kernel == 0
    # The dropped share is Binomial(4096, 0.2) / 4096: one sigma is 0.00625,
    # and of 64 weights 0.05.
    assert abs(dropped.mean() - 0.2) < 4 * 0.00625
    for axis in (0, 1):
        shares = dropped.mean(axis)
        assert shares.std() < 2 * 0.05
        assert len(np.unique(shares)) > 4
    # One mask for the batch, another one for the next.
    rows = run(wrapper, np.ones((3, 64), "float32"))
    np.testing.assert_array_equal(rows, rows[:1].repeat(3, 0))
    again = run(wrapper, np.eye(64, dtype="float32"))
    # Two independent masks differ in 2 * 0.2 * 0.8 of the weights.
    assert abs(np.mean((again == 0) != dropped) - 0.32) < 4 * 0.0073


def test_biases_are_never_dropped():
    dense = layers.Dense(
        50, kernel_initializer="zeros", bias_initializer="ones"
    )
    y = run(DropConnect(dense, 0.9), np.ones((2, 3), "float32"))
    np.testing.assert_array_equal(y, 1)


def test_expected_output_is_that_of_inference():
    x = np.random.default_rng(0).normal(size=(1, 8)).astype("float32")
    wrapper = DropConnect(layers.Dense(2), 0.5, seed=0)
    draws = np.stack([run(wrapper, x)[0] for _ in range(100)])
    expected = run(wrapper, x, training=False)[0]
    sigma = draws.std(0) / np.sqrt(100)
    assert (np.abs(draws.mean(0) - expected) < 4 * sigma).all()


def test_gradient_reaches_the_weights_that_were_kept():
    def model():
        dense = layers.Dense(4, use_bias=False, kernel_initializer="ones")
        inputs = keras.Input((5,))
        model = keras.Model(inputs, DropConnect(dense, 0.5, seed=3)(inputs))
        model.compile(keras.optimizers.SGD(1.0), lambda _, y: ops.sum(y, -1))
        return model

    mask = run(model().layers[-1], np.eye(5, dtype="float32"))
    assert set(np.unique(mask)) == {0, 2}
    trained = model()
    trained.train_on_batch(np.eye(5, dtype="float32"), np.zeros((5, 4)))
    np.testing.assert_allclose(
        1 - trained.get_weights()[0], mask / 5, rtol=1e-5, atol=1e-7
    )


def test_one_mask_holds_for_a_whole_sequence():
    # h_t = h_{t-1} * w with w either 0 or 2, and h_1 = x_1.
    rnn = layers.SimpleRNN(
        32, activation=None, return_sequences=True, use_bias=False
    )
    wrapper = DropConnect(rnn, 0.5, kernels=["recurrent_kernel"], seed=0)
    wrapper.build((1, 6, 32))
    cell = rnn.cell
    cell.kernel.assign(np.eye(32))
    cell.recurrent_kernel.assign(np.eye(32))
    x = np.zeros((1, 6, 32), "float32")
    x[:, 0] = 1
    y = run(wrapper, x)[0]
    np.testing.assert_array_equal(y[0], 1)  # The kernel keeps all weights.
    kept = y[1] == 2
    assert 4 < kept.sum() < 28
    for step in range(1, 6):
        np.testing.assert_array_equal(y[step], np.where(kept, 2.0**step, 0))


def test_named_kernels_alone_are_dropped():
    x = np.eye(6, dtype="float32")[None]
    for name in ("depthwise_kernel", "pointwise_kernel"):
        layer = layers.SeparableConv1D(64, 1, use_bias=False)
        wrapper = ones(layer, (1, 6, 6), rate=0.5, kernels=[name], seed=0)
        y = run(wrapper, x)[0]  # (features, channels)
        whole_features = all(len(np.unique(row)) == 1 for row in y)
        assert whole_features == (name == "depthwise_kernel")
        assert set(np.unique(y)) == {0, 2}


def test_config_keeps_the_named_kernels():
    wrapper = DropConnect(layers.GRU(2), 0.5, kernels=("recurrent_kernel",))
    clone = DropConnect.from_config(wrapper.get_config())
    clone.build((None, 3, 2))
    assert [kernel.name for kernel in clone.kernels] == ["recurrent_kernel"]
    assert DropConnect(layers.GRU(2), 0.5).get_config()["kernels"] is None


@pytest.mark.skipif(
    keras.config.backend() == "torch",
    reason="torch.compile takes 20 s a model",
)
def test_xla_drops_the_same_share():
    class Always(DropConnect):
        def call(self, inputs):
            return super().call(inputs, training=True)

    dense = layers.Dense(64, use_bias=False, kernel_initializer="ones")
    inputs = keras.Input((64,))
    model = keras.Model(inputs, Always(dense, 0.2, seed=0)(inputs))
    model.compile(jit_compile=True)
    y = model.predict(np.eye(64, dtype="float32"), batch_size=64, verbose=0)
    np.testing.assert_allclose(np.unique(y), [0, 1.25], rtol=1e-6)
    assert abs(np.mean(y == 0) - 0.2) < 4 * 0.00625


@pytest.mark.parametrize("rate", [-0.1, 1, 20, float("nan"), None, "half"])
def test_bad_rate_says_what_was_received(rate):
    with pytest.raises(ValueError, match=rf"`rate`.*\[0, 1\).*rate={rate}"):
        DropConnect(layers.Dense(2), rate)


@pytest.mark.parametrize("kernels", [[], "kernel", ["bias"], [["kernel"]], 3])
def test_bad_kernels_say_what_was_received(kernels):
    with pytest.raises(ValueError, match="`kernels` must be.*Received: kern"):
        DropConnect(layers.Dense(2), 0.5, kernels=kernels)


def test_kernel_that_the_layer_lacks_is_refused():
    with pytest.raises(ValueError, match="must have a kernel.*recurrent"):
        DropConnect(layers.Dense(2), 0.5, kernels=["recurrent_kernel"])


def test_bad_seed_is_refused():
    with pytest.raises(ValueError, match="seed=-3"):
        DropConnect(layers.Dense(2), 0.5, seed=-3)
