import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import WeightNoise


def run(layer, x, training=True):
    return ops.convert_to_numpy(layer(x, training=training))


@pytest.mark.parametrize(("stddev", "training"), [(0.5, False), (0, True)])
@pytest.mark.parametrize("multiplicative", [True, False])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [(lambda: layers.Dense(3), (4, 5)), (lambda: layers.GRU(3), (2, 4, 3))],
)
def test_layer_is_called_as_it_is_without_noise(
    layer, shape, multiplicative, stddev, training
):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    wrapper = WeightNoise(layer(), stddev, multiplicative)
    outputs = run(wrapper, x, training)
    np.testing.assert_array_equal(outputs, run(wrapper.layer, x, training))
    np.testing.assert_array_equal(outputs, run(wrapper.strip(), x, False))


@pytest.mark.parametrize("multiplicative", [True, False])
def test_noise_has_the_moments_of_a_gaussian(multiplicative):
    dense = layers.Dense(64, use_bias=False)
    wrapper = WeightNoise(dense, 0.3, multiplicative, seed=0)
    wrapper.build((None, 64))
    kernel = np.repeat([[-5.0], [2.0]], 32, 0) * np.ones(64)
    dense.kernel.assign(kernel)
    noise = run(wrapper, np.eye(64, dtype="float32")) - kernel
    if multiplicative:
        noise = noise / kernel
    # 4096 draws: a sigma of the mean is 0.3 / 64, of the deviation 0.3 / 90.
    assert abs(noise.mean()) < 4 * 0.3 / 64
    assert abs(noise.std() - 0.3) < 4 * 0.3 / 90
    # The share beyond one sigma of a Gaussian is 0.3173 +- 0.0073.
    assert abs(np.mean(np.abs(noise) > 0.3) - 0.3173) < 4 * 0.0073
    # The same for all samples of a batch, and fresh for the next.
    rows = run(wrapper, np.ones((3, 64), "float32"))
    np.testing.assert_array_equal(rows, rows[:1].repeat(3, 0))
    again = run(wrapper, np.ones((1, 64), "float32"))
    assert np.abs(again - rows[:1]).min() > 0
    np.testing.assert_array_equal(ops.convert_to_numpy(dense.kernel), kernel)


def test_biases_get_no_noise():
    dense = layers.Dense(5, bias_initializer="ones")
    wrapper = WeightNoise(dense, 0.3)
    np.testing.assert_array_equal(run(wrapper, np.zeros((2, 3))), 1)


def test_one_draw_holds_for_a_whole_sequence():
    rnn = layers.SimpleRNN(1, activation=None, return_sequences=True)
    wrapper = WeightNoise(rnn, 0.3, seed=0)
    wrapper.build((1, 5, 1))
    rnn.cell.set_weights([np.ones((1, 1)), np.ones((1, 1)), np.zeros(1)])
    y = run(wrapper, np.eye(5, dtype="float32")[:1, :, None])[0, :, 0]
    ratios = y[1:] / y[:-1]  # The noisy recurrent weight.
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5)
    assert abs(ratios[0] - 1) > 1e-3
    assert abs(y[0] - 1) > 1e-3
    assert abs(ratios[0] - y[0]) > 1e-3  # Each kernel has its own noise.


@pytest.mark.parametrize("multiplicative", [True, False])
def test_gradient_at_the_noisy_kernel_moves_the_stored_one(multiplicative):
    def model():
        dense = layers.Dense(2, use_bias=False, kernel_initializer="ones")
        inputs = keras.Input((2,))
        wrapper = WeightNoise(dense, 0.3, multiplicative, seed=3)
        model = keras.Model(inputs, wrapper(inputs))
        loss = lambda _, y: ops.sum(y**2, -1) / 2  # noqa: E731
        model.compile(keras.optimizers.SGD(1.0), loss)
        return model

    noisy = run(model().layers[-1], np.eye(2, dtype="float32"))
    trained = model()
    trained.train_on_batch(np.eye(2, dtype="float32"), np.zeros((2, 2)))
    # y = w + noise or w (1 + noise), and w is 1: y' is 1 or y.
    slope = noisy if multiplicative else 1
    np.testing.assert_allclose(
        1 - trained.get_weights()[0], noisy * slope / 2, rtol=1e-5
    )


@pytest.mark.parametrize(
    "stddev", [-0.1, float("nan"), float("inf"), None, "a"]
)
def test_bad_stddev_says_what_was_received(stddev):
    with pytest.raises(ValueError, match=f"`stddev`.*stddev={stddev}"):
        WeightNoise(layers.Dense(2), stddev)


def test_bad_switch_says_what_was_received():
    with pytest.raises(ValueError, match="multiplicative=yes"):
        WeightNoise(layers.Dense(2), 0.1, multiplicative="yes")


def test_bad_seed_is_refused():
    with pytest.raises(ValueError, match="seed=-3"):
        WeightNoise(layers.Dense(2), 0.1, seed=-3)
