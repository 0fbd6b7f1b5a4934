import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import (
    BatchRenormalization,
    UnbiasedBatchNormalization,
)

BACKEND = keras.config.backend()
AT_ONCE = {"ramp_start": 0, "r_ramp_end": 0, "d_ramp_end": 0}


def run(layer, x, training=True, **options):
    return ops.convert_to_numpy(layer(x, training=training, **options))


def moving(layer):
    return [
        ops.convert_to_numpy(v.value).copy()
        for v in (layer.moving_mean, layer.moving_variance)
    ]


def batches(count, *shape):
    """Returns batches that differ in mean and scale."""
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=shape) * scale + mean).astype("float32")
        for mean, scale in rng.uniform((-3, 0.1), (3, 4), size=(count, 2))
    ]


def paper(x, mean, stddev, r_max, d_max, momentum):
    """Algorithm 1 of the paper, channels last, without gamma and beta."""
    axes = tuple(range(x.ndim - 1))
    batch_mean = x.mean(axes)
    batch_stddev = np.sqrt(x.var(axes) + 1e-3)
    r = np.clip(batch_stddev / stddev, 1 / r_max, r_max)
    d = np.clip((batch_mean - mean) / stddev, -d_max, d_max)
    y = (x - batch_mean) / batch_stddev * r + d
    mean = mean + (1 - momentum) * (batch_mean - mean)
    stddev = stddev + (1 - momentum) * (batch_stddev - stddev)
    return y, mean, stddev


@pytest.mark.parametrize(
    ("axis", "shape"),
    [(-1, (4, 3)), (-1, (4, 5, 1)), (1, (4, 3, 5)), (1, (2, 3, 4, 4))],
)
def test_training_follows_the_paper_along_the_ramp(axis, shape):
    layer = BatchRenormalization(
        axis=axis,
        momentum=0.8,
        r_max=3,
        d_max=2,
        ramp_start=2,
        r_ramp_end=6,
        d_ramp_end=4,
        gamma_initializer=keras.initializers.Constant(1.5),
        beta_initializer=keras.initializers.Constant(-0.5),
    )
    mean, stddev = 0.0, np.sqrt(1 + 1e-3)
    r_limits = [1, 1, 1, 1.5, 2, 2.5, 3, 3]
    d_limits = [0, 0, 0, 1, 2, 2, 2, 2]
    for x, *limits in zip(batches(8, *shape), r_limits, d_limits, strict=True):
        y, mean, stddev = paper(
            np.moveaxis(x, axis, -1).astype("float64"),
            *(mean, stddev, *limits, 0.8),
        )
        np.testing.assert_allclose(
            np.moveaxis(run(layer, x), axis, -1),
            1.5 * y - 0.5,
            rtol=1e-4,
            atol=1e-4,
        )
        np.testing.assert_allclose(
            moving(layer), [mean, stddev**2 - 1e-3], rtol=1e-4, atol=1e-5
        )
    # At inference, nothing is clipped.
    np.testing.assert_allclose(
        np.moveaxis(run(layer, x, training=False), axis, -1),
        1.5 * (np.moveaxis(x, axis, -1) - mean) / stddev - 0.5,
        rtol=1e-4,
        atol=1e-4,
    )


def test_after_the_ramp_it_is_keras_with_constant_limits():
    ours = BatchRenormalization(
        momentum=0.8, r_max=2, d_max=1, **AT_ONCE, epsilon=0.01
    )
    theirs = keras.layers.BatchNormalization(
        momentum=0.8,
        epsilon=0.01,
        renorm=True,
        renorm_momentum=0.8,
        renorm_clipping={"rmax": 2, "rmin": 1 / 2, "dmax": 1},
        # Keras starts from a deviation that leaves epsilon out.
        moving_variance_initializer=keras.initializers.Constant(1.01),
    )
    for x in batches(6, 4, 3):
        np.testing.assert_allclose(
            run(ours, x), run(theirs, x), rtol=1e-4, atol=1e-4
        )
        np.testing.assert_allclose(moving(ours), moving(theirs), rtol=1e-4)


def test_two_values_by_hand():
    layer = BatchRenormalization(
        momentum=0.5,
        epsilon=1.0,
        **AT_ONCE,
        moving_variance_initializer=keras.initializers.Constant(3.0),
    )
    # Mean 4, deviation 3 (8 and epsilon); before it, mean 0 and deviation 2.
    # r = 1.5 and d = 2, so that x becomes (x - 0) / 2.
    x = np.array([[4 - 8**0.5], [4 + 8**0.5]], "float32")
    np.testing.assert_allclose(run(layer, x), x / 2, rtol=1e-6)
    np.testing.assert_allclose(moving(layer), [[2], [2.5**2 - 1]], rtol=1e-6)


def test_within_the_limits_training_equals_inference():
    layer = BatchRenormalization(**AT_ONCE)
    rng = np.random.default_rng(0)
    x = rng.normal(0.5, 1.2, size=(6, 4, 3)).astype("float32")
    expected = run(layer, x, training=False)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "arguments", [{"r_max": 1, "d_max": 0, **AT_ONCE}, {"ramp_start": 25_000}]
)
def test_without_correction_it_is_batch_normalization_to_the_bit(arguments):
    options = {
        "gamma_initializer": keras.initializers.Constant(1.7),
        "beta_initializer": keras.initializers.Constant(0.3),
    }
    ours = BatchRenormalization(**arguments, **options)
    theirs = UnbiasedBatchNormalization(**options)
    for x in batches(3, 4, 3):
        np.testing.assert_array_equal(run(ours, x), run(theirs, x))
        np.testing.assert_array_equal(moving(ours)[0], moving(theirs)[0])


def test_compiled_training_counts_its_steps_and_inference_does_not(tmp_path):
    layer = BatchRenormalization(ramp_start=2, r_ramp_end=4, d_ramp_end=4)
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile("sgd", "mse")
    (x,) = batches(1, 10, 3)
    model.fit(x, x, batch_size=4, validation_data=(x, x), verbose=0)
    model.predict(x, verbose=0)
    assert float(layer.step) == 3
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    # The ramp goes on where it was: both limits are at half of their way.
    (step,) = (v for v in loaded.weights if v.name == "step")
    assert float(step) == 3
    np.testing.assert_array_equal(run(loaded, 9 + x), run(model, 9 + x))


def test_counter_stays_exact_in_half_precision():
    layer = BatchRenormalization(
        dtype="float16", ramp_start=0, r_ramp_end=9000, d_ramp_end=9000
    )
    layer.build((None, 3))
    layer.step.assign(4097)  # float16 has no such number.
    run(layer, *batches(1, 4, 3))
    assert float(layer.step) == 4098
    assert layer.step.dtype == "float32"


@pytest.mark.slow
def test_descent_on_batches_of_four_is_stable_with_a_ramp():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 160)
    x = rng.normal(size=(4, 16))[labels] + rng.normal(size=(160, 16))
    model = keras.Sequential([keras.Input((16,))])
    for _ in range(2):
        layer = BatchRenormalization(
            momentum=0.9, ramp_start=20, d_ramp_end=60, r_ramp_end=100
        )
        for each in (keras.layers.Dense(32), layer, keras.layers.ReLU()):
            model.add(each)
    model.add(keras.layers.Dense(4))
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    losses = model.fit(x, labels, 4, epochs=3, verbose=0).history["loss"]
    # A guess costs log(4) = 1.39. Over four seeds the third epoch costs at
    # most 0.10 here, and at least 0.54 with batch normalization.
    assert losses[2] < 0.3


def gradient(layer, x, direction):
    """Returns how `sum(direction * outputs)` changes with the inputs.

    The inputs are weights, from which a step of descent takes it off.
    """
    dtype = "float32" if BACKEND == "jax" else "float64"
    layer = type(layer).from_config({**layer.get_config(), "dtype": dtype})
    table = keras.layers.Embedding(len(x), x[0].size, dtype=dtype)
    inputs = keras.Input((), dtype="int32")
    outputs = layer(ops.reshape(table(inputs), (-1, *x.shape[1:])))
    model = keras.Model(inputs, ops.reshape(outputs, (-1, x[0].size)))
    table.set_weights([x.reshape(len(x), -1)])
    model.compile(
        # The mean over the batch is not wanted here.
        keras.optimizers.SGD(float(len(x))),
        lambda along, y: ops.sum(along * y, -1),
    )
    model.train_on_batch(np.arange(len(x)), direction.reshape(len(x), -1))
    return x - ops.convert_to_numpy(table.embeddings).reshape(x.shape)


def test_gradient_takes_both_corrections_as_constants():
    rng = np.random.default_rng(0)
    x = rng.normal(0.5, 2, size=(5, 2))
    # float32 holds these exactly: the loss, float32, rounds nothing.
    direction = rng.integers(-3, 4, size=x.shape).astype("float64")
    stddev = np.sqrt(x.var(0) + 1e-3)
    r = np.clip(stddev / np.sqrt(1.001), 1 / 1.5, 1.5)

    def loss(x):
        normalized = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)
        return (direction * normalized * r).sum()

    expected = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-5
        expected[index] = (loss(x + step) - loss(x - step)) / 2e-5
    layer = BatchRenormalization(r_max=1.5, **AT_ONCE)
    tolerance = 1e-4 if BACKEND == "jax" else 1e-7  # JAX has no float64.
    np.testing.assert_allclose(
        gradient(layer, x, direction), expected, atol=tolerance
    )


@pytest.mark.parametrize(
    ("axis", "shape", "masked"),
    [(-1, (6, 5, 1), (6, 5)), (1, (6, 3, 5), (6, 5)), (-1, (6, 3), (6, 3))],
)
def test_masked_values_do_not_count(axis, shape, masked):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=shape) * 2 + 2).astype("float32")
    mask = rng.random(masked) < 0.6
    aligned = mask if mask.ndim == x.ndim else np.expand_dims(mask, axis)
    aligned = np.moveaxis(np.broadcast_to(aligned, shape), axis, -1)
    x = np.where(np.moveaxis(aligned, -1, axis), x, np.nan).astype("float32")
    layer = BatchRenormalization(
        axis=axis, momentum=0.8, r_max=1.5, d_max=1, **AT_ONCE
    )
    y = run(layer, x, mask=ops.convert_to_tensor(mask))
    for c in range(shape[axis]):
        counts = aligned[..., c]
        expected, mean, stddev = paper(
            np.moveaxis(x, axis, -1)[..., c][counts][:, None].astype("float64"),
            *(0, np.sqrt(1.001), 1.5, 1, 0.8),
        )
        np.testing.assert_allclose(
            np.moveaxis(y, axis, -1)[..., c][counts], expected[:, 0], rtol=1e-4
        )
        np.testing.assert_allclose(
            [m[c] for m in moving(layer)],
            [mean[0], stddev[0] ** 2 - 1e-3],
            rtol=1e-5,
        )


def test_single_value_leaves_the_variance_and_takes_the_moving_mean():
    layer = BatchRenormalization(momentum=0.5, d_max=5, **AT_ONCE)
    y = run(layer, np.array([[2.0, -30.0]], "float32"))
    # Batch normalization would give 0 and 0.
    np.testing.assert_allclose(y, [[2 / 1.001**0.5, -5]], rtol=1e-6)
    mean, variance = moving(layer)
    np.testing.assert_array_equal(mean, [1, -15])
    np.testing.assert_array_equal(variance, [1, 1])


@pytest.mark.parametrize("epsilon", [1e-2, 5e-3, 1e-3, 1e-5])
def test_constant_inputs_leave_no_negative_variance(epsilon):
    layer = BatchRenormalization(momentum=0.0, epsilon=epsilon)
    run(layer, np.ones((4, 2), "float32"))
    # What is left of epsilon is rounding, of either sign.
    _, variance = moving(layer)
    assert (variance >= 0).all()
    np.testing.assert_allclose(variance, 0, atol=1e-6 * epsilon)


def test_fully_masked_batch_moves_nothing():
    layer = BatchRenormalization(
        momentum=0.5, moving_mean_initializer="ones", **AT_ONCE
    )
    (x,) = batches(1, 3, 4, 2)
    y = run(layer, x, mask=ops.zeros((3, 4), "bool"))
    assert np.isfinite(y).all()
    np.testing.assert_array_equal(moving(layer), [[1, 1], [1, 1]])


def test_mean_far_above_the_deviation_costs_no_digits():
    rng = np.random.default_rng(0)
    x = rng.normal(1e4, 0.1, size=(64, 200, 2)).astype("float32")
    exact = x.reshape(-1, 2).astype("float64")
    layer = BatchRenormalization(momentum=0.0, epsilon=1e-6, **AT_ONCE)
    y = run(layer, x)
    # Far from the moving statistics, both corrections are at their limits.
    expected = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-6)
    np.testing.assert_allclose(
        y.reshape(-1, 2), expected / 3 + 5, rtol=1e-4, atol=1e-4
    )
    mean, variance = moving(layer)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var(0), rtol=1e-4)


def test_frozen_layer_uses_its_moving_statistics_and_counts_nothing():
    layer = BatchRenormalization(trainable=False, **AT_ONCE)
    (x,) = batches(1, 4, 3)
    np.testing.assert_allclose(run(layer, x), x / 1.001**0.5, rtol=1e-6)
    np.testing.assert_array_equal(moving(layer), [[0] * 3, [1] * 3])
    assert float(layer.step) == 0


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "bfloat16"])
def test_statistics_are_float32_under_every_policy(policy):
    layer = BatchRenormalization(
        momentum=0.0, r_max=1e6, dtype=policy, **AT_ONCE
    )
    # The variance, 90000, is beyond float16; 300 is not.
    x = np.array([[300.0], [-300.0], [300.0], [-300.0]], "float32")
    y = layer(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == policy.split("_")[-1]
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(y, "float32")), x, rtol=4e-3
    )
    assert layer.moving_variance.dtype == "float32"
    np.testing.assert_allclose(moving(layer), [[0], [90_000]], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"r_max": 0.5}, "`r_max` must be.*at least 1.*r_max=0.5"),
        ({"r_max": float("inf")}, "`r_max` must be a finite.*r_max=inf"),
        ({"r_max": float("nan")}, "`r_max`.*r_max=nan"),
        ({"d_max": -1}, "`d_max` must be.*at least 0.*d_max=-1"),
        ({"d_max": "5"}, "`d_max`.*d_max=5"),
        ({"ramp_start": -1}, r"`ramp_start`.*\[0, 2.*ramp_start=-1"),
        ({"ramp_start": 0.5}, "`ramp_start`.*integer.*ramp_start=0.5"),
        (
            {"ramp_start": 6000, "d_ramp_end": 5000},
            r"`d_ramp_end`.*\[6000, 2.*d_ramp_end=5000",
        ),
        ({"r_ramp_end": 2**25}, "`r_ramp_end`.*r_ramp_end=33554432"),
        ({"momentum": 99}, r"`momentum`.*\[0, 1\].*momentum=99"),
        ({"renorm": True}, "`renorm` is not supported.*renorm=True"),
    ],
)
def test_bad_argument_says_what_was_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchRenormalization(**arguments)
