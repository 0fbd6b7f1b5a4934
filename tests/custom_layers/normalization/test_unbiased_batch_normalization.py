import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import UnbiasedBatchNormalization

BACKEND = keras.config.backend()


def run(layer, x, training=True, **options):
    return ops.convert_to_numpy(layer(x, training=training, **options))


def moving(layer):
    return [
        ops.convert_to_numpy(v.value).copy()
        for v in (layer.moving_mean, layer.moving_variance)
    ]


def channels_last(x, axis):
    return np.moveaxis(x, axis, -1)


def batches(sizes, *shape):
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=(size, *shape)) * 2 + 3).astype("float32")
        for size in sizes
    ]


@pytest.mark.parametrize(
    ("axis", "shape"),
    [(-1, (3,)), (-1, (5, 3)), (-1, (4, 4, 3)), (1, (3, 5)), (1, (3, 4, 4))],
)
def test_training_and_inference_follow_torch(axis, shape):
    torch = pytest.importorskip("torch")
    # PyTorch puts channels first, and counts momentum the other way round.
    kind = torch.nn.BatchNorm2d if len(shape) == 3 else torch.nn.BatchNorm1d
    theirs = kind(3, eps=1e-3, momentum=0.3)
    ours = UnbiasedBatchNormalization(axis=axis, momentum=0.7)

    def reference(x):
        x = torch.from_numpy(np.moveaxis(x, axis, 1).copy())
        return np.moveaxis(theirs(x).detach().numpy(), 1, axis)

    for x in batches((4, 2, 7), *shape):  # The last batch size is another.
        np.testing.assert_allclose(
            run(ours, x), reference(x), rtol=1e-4, atol=1e-5
        )
        for value, expected in zip(
            moving(ours), (theirs.running_mean, theirs.running_var), strict=True
        ):
            np.testing.assert_allclose(value, expected.numpy(), rtol=1e-5)
    theirs.eval()
    np.testing.assert_allclose(
        run(ours, x, training=False), reference(x), rtol=1e-4, atol=1e-5
    )


def test_train_steps_follow_torch():
    torch = pytest.importorskip("torch")
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, "tanh"),
            UnbiasedBatchNormalization(momentum=0.7),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    first, norm, last = model.layers
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 4),
        torch.nn.Tanh(),
        torch.nn.BatchNorm1d(4, eps=1e-3, momentum=0.3),
        torch.nn.Linear(4, 1),
    )
    for dense, linear in ((first, theirs[0]), (last, theirs[3])):
        kernel, bias = dense.get_weights()
        linear.weight.data = torch.from_numpy(kernel.T.copy())
        linear.bias.data = torch.from_numpy(bias)
    optimizer = torch.optim.SGD(theirs.parameters(), 0.1)
    for x in batches((8, 4, 8), 3):
        y = x[:, :1] - 3
        model.train_on_batch(x, y)
        optimizer.zero_grad()
        with torch.enable_grad():
            error = theirs(torch.from_numpy(x)) - torch.from_numpy(y)
            error.square().mean().backward()
        optimizer.step()
    expected = [
        *(theirs[0].weight.T, theirs[0].bias),
        *(theirs[2].weight, theirs[2].bias),
        *(theirs[2].running_mean, theirs[2].running_var),
        *(theirs[3].weight.T, theirs[3].bias),
    ]
    weights = [*first.weights, *norm.weights, *last.weights]
    for ours, other in zip(weights, expected, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours),
            other.detach().numpy(),
            rtol=1e-4,
            atol=1e-6,
            err_msg=ours.path,
        )


def test_two_values_by_hand():
    layer = UnbiasedBatchNormalization(momentum=0.5, epsilon=0.25)
    y = run(layer, np.array([[1.0], [4.0]], "float32"))
    # Mean 2.5; variance 2.25 for the output, 4.5 for the moving average.
    np.testing.assert_allclose(y, [[-1.5 / 2.5**0.5], [1.5 / 2.5**0.5]])
    np.testing.assert_allclose(moving(layer), [[1.25], [0.5 + 2.25]])


def test_only_the_moving_variance_differs_from_keras():
    (x,) = batches((4,), 3)
    ours = UnbiasedBatchNormalization(momentum=0.0)
    theirs = keras.layers.BatchNormalization(momentum=0.0)
    np.testing.assert_allclose(run(ours, x), run(theirs, x), atol=1e-5)
    (mean, variance), (their_mean, biased) = moving(ours), moving(theirs)
    np.testing.assert_allclose(mean, their_mean, rtol=1e-5)
    np.testing.assert_allclose(variance, biased * 4 / 3, rtol=1e-4)


@pytest.mark.parametrize(
    ("axis", "shape", "masked"),
    [
        (-1, (6, 5, 1), (6, 5)),  # One channel: Keras fails on two backends.
        (-1, (6, 5, 3), (6, 5)),
        (-1, (6, 3), (6,)),
        (-1, (6, 5, 2, 3), (6, 5)),
        (1, (6, 3, 5), (6, 5)),
        (-1, (6, 5, 3), (6, 5, 3)),
        (-1, (6, 5, 3), (6, 1, 1)),
    ],
)
def test_masked_values_do_not_count(axis, shape, masked):
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype("float32") + 2
    mask = rng.random(masked) < 0.6
    aligned = mask
    if len(masked) < len(shape):
        aligned = np.expand_dims(mask, axis)
        while aligned.ndim < len(shape):
            aligned = np.expand_dims(aligned, -1)
    counts = channels_last(np.broadcast_to(aligned, shape), axis)
    values = [
        channels_last(x, axis)[..., c][counts[..., c]]
        for c in range(shape[axis])
    ]
    x = np.where(aligned, x, np.nan).astype("float32")  # Must not leak.
    layer = UnbiasedBatchNormalization(axis=axis, momentum=0.0)
    y = run(layer, x, mask=ops.convert_to_tensor(mask))
    np.testing.assert_allclose(
        moving(layer),
        [[v.mean() for v in values], [v.var(ddof=1) for v in values]],
        rtol=1e-5,
    )
    for c, v in enumerate(values):
        np.testing.assert_allclose(
            channels_last(y, axis)[..., c][counts[..., c]],
            (v - v.mean()) / np.sqrt(v.var() + 1e-3),
            atol=1e-5,
        )


def test_masked_sequences_train_as_their_values_alone():
    x = batches((4,), 5, 1)[0]
    x[2:, 3:] = 0
    alone = x[x != 0].reshape(-1, 1)
    layers = [UnbiasedBatchNormalization(momentum=0.5) for _ in range(2)]
    for layer in layers:
        layer.build((None, None, 1) if layer is layers[0] else (None, 1))
    inputs = keras.Input((None, 1))
    model = keras.Model(inputs, layers[0](keras.layers.Masking()(inputs)))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.train_on_batch(x, x**2)
    run(layers[1], alone)
    np.testing.assert_allclose(*map(moving, layers), rtol=1e-5)


@pytest.mark.parametrize(
    ("count", "mean", "rtol"),
    # float32 adds 100000 values one after the other to four digits or so:
    # one pass would be off by fifty standard deviations.
    [(64, 1e4, 1e-5), (64, 1e5, 1e-5), (100_000, 1e4, 1e-3)],
)
@pytest.mark.parametrize("masked", [False, True])
def test_mean_far_above_the_deviation_costs_no_digits(
    count, mean, rtol, masked
):
    rng = np.random.default_rng(0)
    x = rng.normal(mean, mean / 1e5, size=(count, 2)).astype("float32")
    exact = x.astype("float64")
    layer = UnbiasedBatchNormalization(momentum=0.0, epsilon=1e-6)
    mask = ops.ones(count, "bool") if masked else None
    y = run(layer, x, mask=mask)
    moved = moving(layer)
    np.testing.assert_allclose(moved[0], exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(moved[1], exact.var(0, ddof=1), rtol=rtol)
    deviation = np.sqrt(exact.var(0) + 1e-6)
    np.testing.assert_allclose(
        y, (exact - exact.mean(0)) / deviation, rtol=rtol, atol=rtol
    )
    # At inference the mean comes from a float32 variable: its rounding is all
    # that may be lost.
    y = run(layer, x, training=False)
    deviation = np.sqrt(exact.var(0, ddof=1) + 1e-6)
    rounding = np.spacing(np.float32(mean)) / deviation.min()
    np.testing.assert_allclose(
        y, (exact - exact.mean(0)) / deviation, rtol=rtol, atol=rounding
    )


def test_first_value_far_from_the_others_is_a_good_enough_shift():
    x = np.random.default_rng(0).normal(size=(1000, 2)).astype("float32")
    x[0] = 1e4  # 31 of the deviations that it makes itself.
    exact = x.astype("float64")
    mean, deviation = exact.mean(0), exact.std(0)
    layer = UnbiasedBatchNormalization(momentum=0.0)
    y = run(layer, x)
    # A float32 sum of 1000 such distances: in deviations, a few times 1e-5.
    np.testing.assert_allclose(y, (exact - mean) / deviation, atol=1e-4)
    found, variance = moving(layer)
    assert (abs(found - mean) < 1e-4 * deviation).all()
    np.testing.assert_allclose(variance, exact.var(0, ddof=1), rtol=1e-5)


def test_single_value_leaves_the_variance_and_gives_beta():
    layer = UnbiasedBatchNormalization(
        momentum=0.5, beta_initializer=keras.initializers.Constant(0.25)
    )
    y = run(layer, np.array([[7.0, -3.0]], "float32"))
    np.testing.assert_array_equal(y, [[0.25, 0.25]])
    np.testing.assert_array_equal(moving(layer), [[3.5, -1.5], [1, 1]])


def test_fully_masked_batch_moves_nothing():
    layer = UnbiasedBatchNormalization(
        momentum=0.5, moving_mean_initializer="ones"
    )
    (x,) = batches((3,), 4, 2)
    y = run(layer, x, mask=ops.zeros((3, 4), "bool"))
    assert np.isfinite(y).all()
    np.testing.assert_array_equal(moving(layer), [[1, 1], [1, 1]])


def test_empty_batch_moves_nothing():
    # As on the replica for which a last batch has no sample left.
    layer = UnbiasedBatchNormalization(momentum=0.5)
    layer.build((None, 4, 2))
    y = run(layer, np.zeros((0, 4, 2), "float32"))
    assert y.shape == (0, 4, 2)
    np.testing.assert_array_equal(moving(layer), [[0, 0], [1, 1]])


def test_frozen_layer_uses_its_moving_statistics():
    layer = UnbiasedBatchNormalization(momentum=0.5, trainable=False)
    (x,) = batches((4,), 3)
    np.testing.assert_allclose(run(layer, x), x / 1.001**0.5, rtol=1e-6)
    np.testing.assert_array_equal(moving(layer), [[0] * 3, [1] * 3])


def test_momentum_one_keeps_and_zero_takes_the_last():
    first, second = batches((4, 6), 3)
    kept, last = (UnbiasedBatchNormalization(momentum=m) for m in (1, 0))
    for layer in (kept, last):
        run(layer, first)
        run(layer, second)
    np.testing.assert_array_equal(moving(kept), [[0] * 3, [1] * 3])
    np.testing.assert_allclose(
        moving(last), [second.mean(0), second.var(0, ddof=1)], rtol=1e-5
    )


def test_without_center_and_scale_only_statistics_are_kept():
    layer = UnbiasedBatchNormalization(center=False, scale=False)
    (x,) = batches((4,), 3)
    expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)
    np.testing.assert_allclose(run(layer, x), expected, atol=1e-5)
    assert [v.name for v in layer.weights] == ["moving_mean", "moving_variance"]


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "bfloat16"])
def test_statistics_are_float32_under_every_policy(policy):
    layer = UnbiasedBatchNormalization(momentum=0.0, dtype=policy)
    # The variance, 90000, is beyond float16; 300 is not.
    x = np.array([[300.0], [-300.0], [300.0], [-300.0]], "float32")
    y = layer(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == policy.split("_")[-1]
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(y, "float32")), x / 300, rtol=1e-6
    )
    assert layer.moving_variance.dtype == "float32"
    np.testing.assert_allclose(moving(layer), [[0], [120_000]], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axis": [1, 2]}, r"`axis` must be an integer.*axis=\[1, 2\]"),
        ({"momentum": -0.1}, r"`momentum`.*\[0, 1\].*momentum=-0.1"),
        ({"momentum": 99}, r"`momentum`.*\[0, 1\].*momentum=99"),
        ({"momentum": float("nan")}, "`momentum`.*momentum=nan"),
        ({"epsilon": 0}, "`epsilon` must be a positive.*epsilon=0"),
        ({"epsilon": float("nan")}, "`epsilon`.*epsilon=nan"),
        ({"epsilon": "small"}, "`epsilon`.*epsilon=small"),
        ({"renorm": True}, "`renorm` is not supported.*renorm=True"),
    ],
)
def test_bad_argument_says_what_was_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        UnbiasedBatchNormalization(**arguments)


@pytest.mark.parametrize(
    ("axis", "shape"), [(2, (4, 3)), (-3, (4, 3)), (1, (None, None, 3))]
)
def test_axis_that_names_no_channels_says_what_was_received(axis, shape):
    with pytest.raises(ValueError, match=rf"axis={axis}.*shape \("):
        UnbiasedBatchNormalization(axis=axis).build(shape)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="supported there")
def test_synchronization_is_refused_where_there_is_none():
    with pytest.raises(ValueError, match=r"synchronized=True.*TensorFlow"):
        UnbiasedBatchNormalization(synchronized=True)


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute")
def test_two_replicas_give_the_statistics_of_one_device():
    done = subprocess.run(
        [sys.executable, __file__],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def train_on_two_replicas():
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    half = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    x = batches((8,), 3)[0] + 1000
    parts = [x[:5], x[5:]]  # The replicas' shares may differ in size.

    def step(layer, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(tf.sin(y))
        return y, tape.gradient(loss, x)

    @tf.function
    def train(layer):
        share = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(parts[context.replica_id_in_sync_group])
        )
        return strategy.run(step, (layer, share))

    def on_two(**arguments):
        with strategy.scope():
            layer = UnbiasedBatchNormalization(momentum=0.5, **arguments)
            layer.build(x.shape)
        results = [
            np.concatenate(strategy.experimental_local_results(result))
            for result in train(layer)
        ]
        for variable in (layer.moving_mean, layer.moving_variance):
            np.testing.assert_array_equal(
                *strategy.experimental_local_results(variable.value)
            )
        return moving(layer), results

    alone = UnbiasedBatchNormalization(momentum=0.5)
    expected = step(alone, tf.constant(x))
    statistics, results = on_two(synchronized=True)
    np.testing.assert_allclose(statistics, moving(alone), rtol=1e-5)
    for result, other in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, other, rtol=1e-4, atol=1e-5)

    # Without: the mean over replicas, each with its own statistics.
    statistics, (outputs, _) = on_two()
    means = np.mean([p.mean(0) for p in parts], axis=0)
    variances = np.mean([p.var(0, ddof=1) for p in parts], axis=0)
    np.testing.assert_allclose(
        statistics, [means / 2, (1 + variances) / 2], rtol=1e-5
    )
    each = [(p - p.mean(0)) / np.sqrt(p.var(0) + 1e-3) for p in parts]
    np.testing.assert_allclose(outputs, np.concatenate(each), atol=1e-3)


if __name__ == "__main__":
    train_on_two_replicas()
