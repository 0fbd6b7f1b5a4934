import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import (
    GhostBatchNormalization,
    UnbiasedBatchNormalization,
)

BACKEND = keras.config.backend()


def run(layer, x, training=True, **options):
    return ops.convert_to_numpy(layer(x, training=training, **options))


def moving(layer):
    return [
        ops.convert_to_numpy(v.value).copy()
        for v in (layer.moving_mean, layer.moving_variance)
    ]


def batches(sizes, *shape):
    """Returns batches whose samples have ever larger values."""
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=(size, *shape)) * 2 + 3).astype("float32")
        + np.arange(size, dtype="float32").reshape(-1, *[1] * len(shape))
        for size in sizes
    ]


def gradient(layer, x, direction, mask=None):
    """Returns how `sum(direction * outputs)` changes with the inputs.

    The inputs are weights, from which a step of descent takes it off.
    """
    dtype = "float32" if BACKEND == "jax" else "float64"
    layer = type(layer).from_config({**layer.get_config(), "dtype": dtype})
    table = keras.layers.Embedding(len(x), x[0].size, dtype=dtype)
    inputs = keras.Input((), dtype="int32")
    hidden = ops.reshape(table(inputs), (-1, *x.shape[1:]))
    options = {} if mask is None else {"mask": ops.convert_to_tensor(mask)}
    # `ops` hand on no mask, which would change the loss.
    outputs = ops.reshape(layer(hidden, **options), (-1, x[0].size))
    model = keras.Model(inputs, outputs)
    table.set_weights([x.reshape(len(x), -1)])
    model.compile(
        # The mean over the batch is not wanted here.
        keras.optimizers.SGD(float(len(x))),
        lambda along, y: ops.sum(along * y, -1),
    )
    model.train_on_batch(np.arange(len(x)), direction.reshape(len(x), -1))
    return x - ops.convert_to_numpy(table.embeddings).reshape(x.shape)


def cut(x, size):
    return [x[start : start + size] for start in range(0, len(x), size)]


@pytest.mark.parametrize(
    ("axis", "shape"),
    [
        *((-1, (3,)), (-1, (5, 3)), (-1, (4, 4, 3)), (-1, (4, 2))),
        *((1, (3, 5)), (1, (3, 4, 4)), (-2, (4, 3, 5)), (-1, (5, 1))),
    ],
)
def test_follows_keras_on_each_ghost_batch_alone(axis, shape):
    theirs = keras.layers.BatchNormalization(axis=axis, momentum=0.7)
    ours = GhostBatchNormalization(4, axis=axis, momentum=0.7)
    for x in batches((8, 7), *shape):  # The second leaves three over.
        expected = [run(theirs, part) for part in cut(x, 4)]
        np.testing.assert_allclose(
            run(ours, x), np.concatenate(expected), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            moving(ours)[0], moving(theirs)[0], rtol=1e-5
        )
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(
        *(run(layer, x, training=False) for layer in (ours, theirs)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_moving_statistics_follow_torch_after_one_ghost_batch_and_the_next():
    torch = pytest.importorskip("torch")
    # PyTorch counts momentum the other way round.
    theirs = torch.nn.BatchNorm1d(3, eps=1e-3, momentum=0.3)
    ours = GhostBatchNormalization(4, momentum=0.7)
    for x in batches((8, 7, 3), 3):
        for part in cut(x, 4):
            theirs(torch.from_numpy(part))
        run(ours, x)
        for value, expected in zip(
            moving(ours), (theirs.running_mean, theirs.running_var), strict=True
        ):
            np.testing.assert_allclose(value, expected.numpy(), rtol=1e-5)


def test_two_ghost_batches_by_hand():
    layer = GhostBatchNormalization(
        2,
        momentum=0.5,
        epsilon=0.25,
        gamma_initializer=keras.initializers.Constant(2.0),
        beta_initializer="ones",
    )
    y = run(layer, np.array([[1.0], [4.0], [0.0], [2.0]], "float32"))
    # Means 2.5 and 1; variances 2.25 and 1, or 4.5 and 2 without bias.
    first, second = 3 / 2.5**0.5, 2 / 1.25**0.5
    np.testing.assert_allclose(
        y[:, 0], [1 - first, 1 + first, 1 - second, 1 + second], rtol=1e-6
    )
    np.testing.assert_allclose(
        moving(layer), [[(0 + 2.5) / 4 + 0.5], [(1 + 4.5) / 4 + 1]], rtol=1e-6
    )


@pytest.mark.parametrize("size", [5, 6, 512])
def test_batch_of_one_ghost_is_unbiased_batch_normalization(size):
    ours = GhostBatchNormalization(size, momentum=0.5)
    theirs = UnbiasedBatchNormalization(momentum=0.5)
    (x,) = batches((5,), 4, 3)
    np.testing.assert_allclose(
        run(ours, x), run(theirs, x), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(moving(ours), moving(theirs), rtol=1e-5)


@pytest.mark.parametrize("size", [2, 4, 64])
def test_compiled_fit_with_a_short_last_batch_equals_ghosts_in_turn(size):
    inputs = keras.Input((None, 3))  # Batch and time are unknown.
    layer = GhostBatchNormalization(size, momentum=0.5)
    model = keras.Model(inputs, layer(inputs))
    # Without a learning rate, only the statistics move.
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x = np.concatenate(batches((8, 3), 5, 3))
    model.fit(x, x, batch_size=8, shuffle=False, verbose=0)
    expected = UnbiasedBatchNormalization(momentum=0.5)
    for batch in (x[:8], x[8:]):
        for part in cut(batch, size):
            run(expected, part)
    np.testing.assert_allclose(moving(layer), moving(expected), rtol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_gradient_follows_finite_differences(masked):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 4, 2)) + 1
    # float32 holds these exactly: the loss, float32, rounds nothing.
    direction = rng.integers(-3, 4, size=x.shape).astype("float64")
    mask = np.ones(x.shape[:2], bool)
    if masked:
        mask[1:4, 2:] = False
        direction *= mask[..., None]

    def loss(x):
        total = 0.0
        for part, counts, along in zip(
            *(cut(values, 2) for values in (x, mask, direction)), strict=True
        ):
            values = part[counts]
            y = (values - values.mean(0)) / np.sqrt(values.var(0) + 1e-3)
            total += (y * along[counts]).sum()
        return total

    expected = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-5
        expected[index] = (loss(x + step) - loss(x - step)) / 2e-5

    moved = gradient(GhostBatchNormalization(2), x, direction, mask)
    tolerance = 1e-3 if BACKEND == "jax" else 1e-6  # JAX has no float64.
    np.testing.assert_allclose(moved, expected, atol=tolerance)


@pytest.mark.parametrize(
    ("axis", "shape", "masked"),
    [
        (-1, (6, 5, 1), (6, 5)),
        (-1, (6, 5, 3), (6, 5)),
        (-1, (6, 3), (6,)),
        (1, (6, 3, 5), (6, 5)),
        (-1, (6, 5, 3), (6, 5, 3)),
    ],
)
def test_masked_values_do_not_count(axis, shape, masked):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype("float32") + 2
    mask = rng.random(masked) < 0.7
    aligned = mask if mask.ndim == x.ndim else np.expand_dims(mask, axis)
    x = np.where(aligned, x, np.nan).astype("float32")  # Must not leak.
    ours = GhostBatchNormalization(4, axis=axis, momentum=0.5)
    theirs = UnbiasedBatchNormalization(axis=axis, momentum=0.5)
    y = run(ours, x, mask=ops.convert_to_tensor(mask))
    expected = [
        run(theirs, part, mask=ops.convert_to_tensor(counts))
        for part, counts in zip(cut(x, 4), cut(mask, 4), strict=True)
    ]
    np.testing.assert_allclose(
        y, np.concatenate(expected), rtol=1e-4, atol=1e-5
    )
    assert np.isfinite(y[np.broadcast_to(aligned, shape)]).all()
    np.testing.assert_allclose(moving(ours), moving(theirs), rtol=1e-5)


def test_ghost_batches_that_say_nothing_move_nothing():
    layer = GhostBatchNormalization(2, momentum=0.5)
    x = np.array([[1.0], [3.0], [7.0], [9.0], [8.0]], "float32")
    mask = np.array([True, True, False, False, True])
    y = run(layer, x, mask=ops.convert_to_tensor(mask))
    assert np.isfinite(y).all()
    # The second is masked; the last is one value, which has no variance.
    np.testing.assert_array_equal(y[4], [0])
    np.testing.assert_allclose(moving(layer), [[(0 + 2) / 4 + 4], [1.5]])


@pytest.mark.parametrize("shape", [(64, 2), (64, 200, 2)])
@pytest.mark.parametrize(
    # At 1e5 the mean itself is rounded by a part of the deviation.
    ("mean", "masked"),
    [(1e4, False), (1e4, True), (1e5, False)],
)
def test_mean_far_above_the_deviation_costs_no_digits(shape, mean, masked):
    rng = np.random.default_rng(0)
    x = rng.normal(mean, 0.1, size=shape).astype("float32")
    layer = GhostBatchNormalization(32, momentum=0.0, epsilon=1e-6)
    mask = ops.ones(64, "bool") if masked else None
    y = run(layer, x, mask=mask)
    for part, outputs in zip(cut(x, 32), cut(y, 32), strict=True):
        exact = part.astype("float64").reshape(-1, 2)
        expected = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-6)
        np.testing.assert_allclose(
            outputs.reshape(-1, 2), expected, rtol=1e-4, atol=1e-4
        )
    mean, variance = moving(layer)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var(0, ddof=1), rtol=1e-4)


def test_moving_mean_is_rounded_once():
    # A float32 sum of 37 values of 1e4 is rounded in steps of 0.03 each time.
    x = np.random.default_rng(0).normal(1e4, 0.1, size=(74, 64))
    x = x.astype("float32")
    layer = GhostBatchNormalization(37, momentum=0.0)
    run(layer, x)
    error = moving(layer)[0] - x[37:].astype("float64").mean(0)
    assert abs(error).max() < 0.51 * np.spacing(np.float32(1e4))


def test_momentum_one_keeps_and_zero_takes_the_last():
    (x,) = batches((7,), 3)
    kept, last = (GhostBatchNormalization(4, momentum=m) for m in (1, 0))
    for layer in (kept, last):
        run(layer, x)
    np.testing.assert_array_equal(moving(kept), [[0] * 3, [1] * 3])
    np.testing.assert_allclose(
        moving(last), [x[4:].mean(0), x[4:].var(0, ddof=1)], rtol=1e-5
    )


def test_frozen_layer_uses_its_moving_statistics():
    layer = GhostBatchNormalization(2, trainable=False)
    (x,) = batches((5,), 3)
    np.testing.assert_allclose(run(layer, x), x / 1.001**0.5, rtol=1e-6)
    np.testing.assert_array_equal(moving(layer), [[0] * 3, [1] * 3])


def test_without_center_and_scale_only_statistics_are_kept():
    layer = GhostBatchNormalization(4, center=False, scale=False)
    (x,) = batches((4,), 3)
    expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)
    np.testing.assert_allclose(run(layer, x), expected, atol=1e-5)
    assert [v.name for v in layer.weights] == ["moving_mean", "moving_variance"]


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "bfloat16"])
def test_statistics_are_float32_under_every_policy(policy):
    layer = GhostBatchNormalization(2, momentum=0.0, dtype=policy)
    # The variance, 90000, is beyond float16; 300 is not.
    x = np.array([[300.0], [-300.0], [-300.0], [300.0]], "float32")
    y = layer(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == policy.split("_")[-1]
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(y, "float32")), x / 300, rtol=1e-6
    )
    assert layer.moving_variance.dtype == "float32"
    np.testing.assert_allclose(moving(layer), [[0], [180_000]], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            (
                {"virtual_batch_size": size},
                f"`virtual_batch_size` must be a positive.*size={size}",
            )
            for size in (0, -4, 2.5, True, None, float("nan"))
        ),
        (
            {"virtual_batch_size": 4, "synchronized": True},
            "`synchronized` is not supported.*synchronized=True",
        ),
        (
            {"virtual_batch_size": 4, "renorm": True},
            "`renorm` is not supported.*renorm=True",
        ),
        (
            {"virtual_batch_size": 4, "momentum": 99},
            r"`momentum`.*\[0, 1\].*momentum=99",
        ),
    ],
)
def test_bad_argument_says_what_was_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        GhostBatchNormalization(**arguments)


@pytest.mark.parametrize("axis", [0, -2])
def test_batch_axis_is_refused_as_the_channels(axis):
    with pytest.raises(ValueError, match=rf"axis={axis}.*batch axis.*\(8, 3\)"):
        GhostBatchNormalization(4, axis=axis).build((8, 3))
