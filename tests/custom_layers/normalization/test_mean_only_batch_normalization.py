import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import MeanOnlyBatchNormalization

BACKEND = keras.config.backend()


def run(layer, x, training=True, **options):
    return ops.convert_to_numpy(layer(x, training=training, **options))


def moving(layer):
    return ops.convert_to_numpy(layer.moving_mean.value).copy()


def batches(sizes, *shape):
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=(size, *shape)) * 2 + 3).astype("float32")
        for size in sizes
    ]


@pytest.mark.parametrize(
    ("axis", "shape"),
    [(-1, (3,)), (-1, (5, 1)), (-1, (4, 4, 3)), (1, (3, 5)), (-3, (3, 4, 4))],
)
def test_training_and_inference_follow_numpy(axis, shape):
    layer = MeanOnlyBatchNormalization(
        axis=axis,
        momentum=0.7,
        beta_initializer=keras.initializers.Constant(0.25),
    )
    expected = 0
    for x in batches((4, 2, 7), *shape):  # The last batch size is another.
        last = np.moveaxis(x, axis, -1)
        mean = last.mean(tuple(range(x.ndim - 1)))
        np.testing.assert_allclose(
            np.moveaxis(run(layer, x), axis, -1),
            last - mean + 0.25,
            rtol=1e-5,
            atol=1e-5,
        )
        expected = 0.7 * expected + 0.3 * mean
        np.testing.assert_allclose(moving(layer), expected, rtol=1e-5)
    np.testing.assert_allclose(
        np.moveaxis(run(layer, x, training=False), axis, -1),
        last - expected + 0.25,
        rtol=1e-5,
        atol=1e-5,
    )


def test_it_is_batch_normalization_times_its_deviation():
    (x,) = batches((6,), 4, 2)
    theirs = keras.layers.BatchNormalization(epsilon=1e-6)
    np.testing.assert_allclose(
        run(MeanOnlyBatchNormalization(), x),
        run(theirs, x) * x.std((0, 1)),
        rtol=1e-4,
        atol=1e-4,
    )


def test_train_step_by_hand():
    table = keras.layers.Embedding(2, 1)
    layer = MeanOnlyBatchNormalization(momentum=0.5)
    model = keras.Sequential([keras.Input((), dtype="int32"), table, layer])
    table.set_weights([np.array([[1.0], [4.0]])])
    # Twice the mean over the batch: the sum.
    model.compile(keras.optimizers.SGD(2.0), lambda y, out: y * out)
    model.train_on_batch(np.arange(2), np.array([[3.0], [-5.0]]))
    # The loss is 3 (x1 - mean) - 5 (x2 - mean) + (3 - 5) beta: its gradient
    # is (3, -5), less the mean of the two.
    np.testing.assert_allclose(
        ops.convert_to_numpy(table.embeddings), [[1 - 4], [4 + 4]], rtol=1e-6
    )
    np.testing.assert_allclose(ops.convert_to_numpy(layer.beta), [2], rtol=1e-6)
    np.testing.assert_allclose(moving(layer), [1.25], rtol=1e-6)


def test_gradient_is_centered_as_the_outputs_are():
    rng = np.random.default_rng(0)
    dtype = "float32" if BACKEND == "jax" else "float64"  # JAX has no float64.
    x = rng.normal(size=(5, 3))
    direction = rng.integers(-3, 4, size=x.shape).astype(dtype)
    table = keras.layers.Embedding(5, 3, dtype=dtype)
    layer = MeanOnlyBatchNormalization(dtype=dtype)
    model = keras.Sequential([keras.Input((), dtype="int32"), table, layer])
    table.set_weights([x])
    model.compile(
        keras.optimizers.SGD(5.0), lambda along, y: ops.sum(along * y, -1)
    )
    model.train_on_batch(np.arange(5), direction)
    moved = x - ops.convert_to_numpy(table.embeddings)
    np.testing.assert_allclose(
        moved,
        direction - direction.mean(0),
        atol=1e-5 if BACKEND == "jax" else 1e-6,
    )


@pytest.mark.parametrize(
    ("axis", "shape", "masked"),
    [
        (-1, (6, 5, 1), (6, 5)),
        (-1, (6, 3), (6,)),
        (1, (6, 3, 5), (6, 5)),
        (-1, (6, 5, 3), (6, 5, 3)),
    ],
)
def test_masked_values_do_not_count(axis, shape, masked):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype("float32") + 2
    mask = rng.random(masked) < 0.6
    aligned = mask if mask.ndim == x.ndim else np.expand_dims(mask, axis)
    counts = np.moveaxis(np.broadcast_to(aligned, shape), axis, -1)
    x = np.where(aligned, x, np.nan).astype("float32")  # Must not leak.
    layer = MeanOnlyBatchNormalization(axis=axis, momentum=0.0)
    y = np.moveaxis(run(layer, x, mask=ops.convert_to_tensor(mask)), axis, -1)
    for c in range(shape[axis]):
        values = np.moveaxis(x, axis, -1)[..., c][counts[..., c]]
        np.testing.assert_allclose(moving(layer)[c], values.mean(), rtol=1e-5)
        np.testing.assert_allclose(
            y[..., c][counts[..., c]], values - values.mean(), atol=1e-5
        )


def test_fully_masked_batch_moves_nothing():
    layer = MeanOnlyBatchNormalization(
        momentum=0.5, moving_mean_initializer="ones"
    )
    (x,) = batches((3,), 4, 2)
    y = run(layer, x, mask=ops.zeros((3, 4), "bool"))
    assert np.isfinite(y).all()
    np.testing.assert_array_equal(moving(layer), [1, 1])


@pytest.mark.parametrize("masked", [False, True])
def test_mean_far_above_the_deviation_costs_no_digits(masked):
    rng = np.random.default_rng(0)
    x = rng.normal(1e4, 0.1, size=(100_000, 2)).astype("float32")
    exact = x.astype("float64")
    layer = MeanOnlyBatchNormalization(momentum=0.0)
    mask = ops.ones(len(x), "bool") if masked else None
    np.testing.assert_allclose(
        run(layer, x, mask=mask), exact - exact.mean(0), atol=1e-4
    )
    np.testing.assert_allclose(moving(layer), exact.mean(0), rtol=1e-7)


def test_frozen_layer_uses_its_moving_mean():
    layer = MeanOnlyBatchNormalization(
        trainable=False, moving_mean_initializer="ones"
    )
    (x,) = batches((4,), 3)
    np.testing.assert_array_equal(run(layer, x), x - 1)
    np.testing.assert_array_equal(moving(layer), [1] * 3)


def test_momentum_one_keeps_and_zero_takes_the_last():
    first, second = batches((4, 6), 3)
    kept, last = (MeanOnlyBatchNormalization(momentum=m) for m in (1, 0))
    for layer in (kept, last):
        run(layer, first)
        run(layer, second)
    np.testing.assert_array_equal(moving(kept), [0] * 3)
    np.testing.assert_allclose(moving(last), second.mean(0), rtol=1e-5)


def test_single_sample_gives_beta_and_without_center_zero():
    x = np.array([[7.0, -3.0]], "float32")
    layer = MeanOnlyBatchNormalization(beta_initializer="ones")
    np.testing.assert_array_equal(run(layer, x), [[1, 1]])
    layer = MeanOnlyBatchNormalization(center=False)
    np.testing.assert_array_equal(run(layer, x), [[0, 0]])
    assert [v.name for v in layer.weights] == ["moving_mean"]


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "bfloat16"])
def test_statistics_are_float32_under_every_policy(policy):
    layer = MeanOnlyBatchNormalization(momentum=0.0, dtype=policy)
    # The sum, 120000, is beyond float16; the mean is not.
    x = np.repeat([[29_984.0], [30_016.0]], 2, axis=0).astype("float32")
    y = layer(ops.cast(x, layer.compute_dtype), training=True)
    assert keras.backend.standardize_dtype(y.dtype) == policy.split("_")[-1]
    exact = ops.convert_to_numpy(
        ops.cast(ops.cast(x, layer.compute_dtype), "float32")
    )
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ops.cast(y, "float32")), exact - exact.mean()
    )
    assert layer.moving_mean.dtype == "float32"
    np.testing.assert_allclose(moving(layer), [exact.mean()], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axis": [1, 2]}, r"`axis` must be an integer.*axis=\[1, 2\]"),
        ({"momentum": -0.1}, r"`momentum`.*\[0, 1\].*momentum=-0.1"),
        ({"momentum": 99}, r"`momentum`.*\[0, 1\].*momentum=99"),
        ({"momentum": float("nan")}, "`momentum`.*momentum=nan"),
    ],
)
def test_bad_argument_says_what_was_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        MeanOnlyBatchNormalization(**arguments)


@pytest.mark.parametrize(
    ("axis", "shape"), [(2, (4, 3)), (-3, (4, 3)), (1, (None, None, 3))]
)
def test_axis_that_names_no_channels_says_what_was_received(axis, shape):
    with pytest.raises(ValueError, match=rf"axis={axis}.*shape \("):
        MeanOnlyBatchNormalization(axis=axis).build(shape)
