import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import AnnealedGaussianNoise

BACKEND = keras.config.backend()


def run(layer, x, training=True, **options):
    return ops.convert_to_numpy(layer(x, training=training, **options))


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize(("stddev", "training"), [(0.5, False), (0, True)])
def test_identity_without_noise(relative, stddev, training):
    x = normal(8, 3)
    layer = AnnealedGaussianNoise(stddev, relative=relative)
    np.testing.assert_array_equal(run(layer, x, training), x)


def test_gives_the_noise_of_keras_of_the_same_seed():
    x = normal(32, 8)
    layer = AnnealedGaussianNoise(0.0, seed=3)
    layer.stddev = 0.4
    theirs = keras.layers.GaussianNoise(0.4, seed=3)
    for _ in range(2):
        np.testing.assert_allclose(
            run(layer, x), run(theirs, x), rtol=1e-6, atol=1e-6
        )


def test_noise_is_normal_with_the_given_deviation():
    noise = run(AnnealedGaussianNoise(0.3, seed=0), np.zeros((64, 64)))
    noise = noise.astype("float64") / 0.3
    # Sigmas of the mean, the variance and the fourth moment of n draws from
    # a normal law: sqrt(1 / n), sqrt(2 / n), sqrt(96 / n).
    for moment, expected, sigma in ((1, 0, 1), (2, 1, 2), (4, 3, 96)):
        error = (noise**moment).mean() - expected
        assert abs(error) < 4 * np.sqrt(sigma / 4096), moment


@pytest.mark.parametrize(
    ("axis", "shape", "others"),
    [
        (-1, (64, 4), 0),
        (-1, (16, 8, 4), (0, 1)),
        (1, (16, 4, 3, 2), (0, 2, 3)),
        (2, (16, 8, 4), (0, 1)),
    ],
)
def test_relative_noise_is_a_share_of_each_features_deviation(
    axis, shape, others
):
    sizes = [1] * len(shape)
    sizes[axis] = 4
    scale = np.reshape([1e-3, 1, 50, 0], sizes)
    x = (1000 * scale + scale * normal(*shape)).astype("float32")
    arguments = {"axis": axis, "seed": 5}
    plain = AnnealedGaussianNoise(0.25, **arguments)
    noise = run(plain, np.zeros(shape, "float32"))
    deviation = x.astype("float64").std(others, keepdims=True)
    y = run(AnnealedGaussianNoise(0.25, relative=True, **arguments), x)
    np.testing.assert_allclose(y, x + noise * deviation, rtol=3e-6)


@pytest.mark.parametrize(
    ("axis", "shape", "masked"),
    [(-1, (6, 5, 3), (6, 5)), (-1, (6, 3), (6,)), (1, (6, 3, 5), (6, 5))],
)
def test_masked_values_do_not_count_in_the_deviation(axis, shape, masked):
    x = normal(*shape) + 2
    mask = np.random.default_rng(1).random(masked) < 0.6
    counts = np.broadcast_to(np.expand_dims(mask, axis), shape)
    x = np.where(counts, x, 1e6).astype("float32")
    others = tuple(a for a in range(len(shape)) if a != axis % len(shape))
    deviation = x.std(others, keepdims=True, where=counts)
    arguments = {"axis": axis, "seed": 5}
    noise = run(AnnealedGaussianNoise(0.5, **arguments), np.zeros(shape))
    layer = AnnealedGaussianNoise(0.5, relative=True, **arguments)
    y = run(layer, x, mask=ops.convert_to_tensor(mask))
    np.testing.assert_allclose(y, x + noise * deviation, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_batch_without_deviation_gets_no_relative_noise(training):
    layer = AnnealedGaussianNoise(0.5, relative=True)
    x = normal(1, 3)
    np.testing.assert_array_equal(run(layer, x, training), x)
    x = normal(2, 4, 3)
    mask = ops.zeros((2, 4), "bool")
    np.testing.assert_array_equal(run(layer, x, training, mask=mask), x)


@pytest.mark.parametrize("relative", [False, True])
def test_gradient_is_one(relative):
    inputs = keras.Input((), dtype="int32")
    table = keras.layers.Embedding(64, 2)
    layer = AnnealedGaussianNoise(2.0, relative=relative)
    model = keras.Model(inputs, layer(table(inputs)))
    model.compile(keras.optimizers.SGD(1.0), lambda _, y: ops.sum(y))
    before = ops.convert_to_numpy(table.embeddings).copy()
    model.train_on_batch(np.arange(64), np.zeros((64, 2)))
    gradient = before - ops.convert_to_numpy(table.embeddings)
    # A deviation that is not a constant would add noise of size 1 / 64.
    np.testing.assert_allclose(gradient, 1, rtol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_callback_changes_the_strength_of_a_compiled_fit(jit_compile):
    if BACKEND == "torch" and jit_compile:
        pytest.skip("torch.compile takes 20 s a model")
    layer = AnnealedGaussianNoise(1.0, seed=0)
    inputs = keras.Input((1,))
    zeros = keras.layers.Dense(4096, kernel_initializer="zeros")(inputs)
    model = keras.Model(inputs, layer(zeros))
    optimizer = keras.optimizers.SGD(0.0)
    model.compile(optimizer, "mse", jit_compile=jit_compile)
    stddevs = [1.0, 0.5, 0.0, 2.0]
    schedule = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: setattr(
            layer, "stddev", stddevs[epoch]
        )
    )
    x, y = np.zeros((2, 1), "float32"), np.zeros((2, 4096), "float32")
    history = model.fit(x, y, epochs=4, callbacks=[schedule], verbose=0)
    # The mean square of 8192 draws; its relative sigma is 1 / 64.
    np.testing.assert_allclose(
        history.history["loss"], np.square(stddevs), rtol=4 / 64
    )


def test_current_strength_is_saved_and_the_first_is_in_the_config(tmp_path):
    layer = AnnealedGaussianNoise(0.5)
    model = keras.Sequential([keras.Input((3,)), layer])
    layer.stddev = 0.125
    assert layer.get_config()["stddev"] == 0.5
    model.save(tmp_path / "model.keras")
    (loaded,) = keras.saving.load_model(tmp_path / "model.keras").layers
    assert float(loaded.stddev) == 0.125
    loaded.stddev.assign(0)
    np.testing.assert_array_equal(run(loaded, np.ones((2, 3))), 1)
    assert layer.trainable_weights == []


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_small_strength_survives_half_precision(policy):
    layer = AnnealedGaussianNoise(1e-6, seed=0, dtype=policy)
    noise = layer(ops.zeros((65536,)), training=True)
    deviation = ops.convert_to_numpy(ops.cast(noise, "float32")).std()
    # float16 would round 1e-6 to 0.95e-6; sigma is 1 / sqrt(2 n) = 0.28 %.
    assert abs(deviation / 1e-6 - 1) < 4 * 0.0028


@pytest.mark.parametrize("stddev", [-0.1, float("inf"), float("nan"), "some"])
def test_bad_stddev_says_what_was_received(stddev):
    match = rf"`stddev` must be a finite.*stddev={stddev}"
    with pytest.raises(ValueError, match=match):
        AnnealedGaussianNoise(stddev)
    layer = AnnealedGaussianNoise(0.25)
    with pytest.raises(ValueError, match=match):
        layer.stddev = stddev
    assert float(layer.stddev) == 0.25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"relative": "yes"}, "`relative` must be a boolean.*relative=yes"),
        ({"axis": [1]}, r"`axis` must be an integer.*axis=\[1\]"),
        ({"seed": -3}, "seed=-3"),
    ],
)
def test_bad_argument_says_what_was_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        AnnealedGaussianNoise(0.1, **arguments)


def test_axis_that_is_none_of_the_inputs_is_refused():
    layer = AnnealedGaussianNoise(0.1, relative=True, axis=2)
    with pytest.raises(ValueError, match=r"axis=2.*shape \(4, 3\)"):
        layer(np.ones((4, 3), "float32"))
