import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import FilterResponseNormalization

BACKEND = keras.config.backend()


def run(layer, x, **options):
    return ops.convert_to_numpy(layer(x, **options))


def samples(*shape):
    rng = np.random.default_rng(0)
    return (rng.normal(size=shape) * 2 + 1).astype("float32")


def addons(x, gamma, beta, epsilon, learned_epsilon=0.0):
    """The formula of TensorFlow Addons, whose images have channels last."""
    epsilon = abs(epsilon) + abs(learned_epsilon)
    nu2 = np.mean(np.square(x), axis=(1, 2), keepdims=True)
    return gamma * (x / np.sqrt(nu2 + epsilon)) + beta


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("learned", [False, True])
def test_images_follow_tensorflow_addons(channels, learned):
    layer = FilterResponseNormalization(epsilon=0.25, learned_epsilon=learned)
    layer.build((None, None, None, channels))
    gamma, beta = np.random.default_rng(1).normal(size=(2, channels))
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    if learned:
        # Added as it starts, and without its sign.
        start = ops.convert_to_numpy(layer.added_epsilon)
        np.testing.assert_allclose(start, 1e-4, rtol=1e-6)
        layer.added_epsilon.assign(-0.5)
    x = samples(2, 4, 5, channels)
    np.testing.assert_allclose(
        run(layer, x),
        addons(x.astype("float64"), gamma, beta, 0.25, -0.5 * learned),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("axis", "shape"), [(1, (2, 3, 4, 5)), (-3, (2, 3, 4, 5)), (2, (2, 4, 3))]
)
def test_any_axis_may_hold_the_channels(axis, shape):
    gamma = np.array([1.0, -2.0, 0.5])
    layer = FilterResponseNormalization(axis=axis)
    layer.build(shape)
    layer.gamma.assign(gamma)
    x = samples(*shape)
    last = np.moveaxis(x, axis, -1)
    images = last.reshape(2, -1, 1, 3).astype("float64")
    np.testing.assert_allclose(
        np.moveaxis(run(layer, x), axis, -1).reshape(images.shape),
        addons(images, gamma, 0, 1e-6),
        rtol=1e-5,
    )


def test_two_positions_by_hand():
    layer = FilterResponseNormalization(
        epsilon=1.0,
        gamma_initializer=keras.initializers.Constant(2.0),
        beta_initializer="ones",
    )
    # The mean square is (4 + 12) / 2 = 8; with epsilon, its root is 3.
    x = np.array([[[2.0], [-(12**0.5)]]], "float32")
    np.testing.assert_allclose(run(layer, x), 1 + 2 * x / 3, rtol=1e-6)


def test_sample_does_not_see_the_others():
    layer = FilterResponseNormalization()
    x = samples(5, 4, 3)
    together = run(layer, x, training=True)
    for i in range(5):
        np.testing.assert_allclose(
            run(layer, x[i : i + 1]), together[i : i + 1], rtol=1e-6
        )


def test_scale_of_the_inputs_does_not_matter():
    layer = FilterResponseNormalization(epsilon=1e-12)
    x = samples(2, 4, 3)
    np.testing.assert_allclose(run(layer, x), run(layer, 64 * x), rtol=1e-5)


def test_zeros_stay_zero():
    zeros = np.zeros((2, 4, 3), "float32")
    np.testing.assert_array_equal(
        run(FilterResponseNormalization(), zeros), zeros
    )


def test_dense_outputs_need_the_learned_epsilon():
    x = np.array([[3.0, -0.02, 0.0]], "float32")
    layer = FilterResponseNormalization(learned_epsilon=True)
    np.testing.assert_allclose(
        run(layer, x), x / np.sqrt(x**2 + 1e-6 + 1e-4), rtol=1e-5
    )
    with pytest.raises(ValueError, match=r"learned_epsilon=True.*\(1, 3\)"):
        FilterResponseNormalization()(x)


def test_all_weights_learn_from_finite_differences():
    """A step of descent takes the gradient off each weight."""
    rng = np.random.default_rng(0)
    dtype = "float32" if BACKEND == "jax" else "float64"  # JAX has no float64.
    x = rng.normal(size=(3, 4, 2))
    direction = rng.integers(-3, 4, size=x.shape).astype(dtype)
    layer = FilterResponseNormalization(
        epsilon=0.1, learned_epsilon=True, dtype=dtype
    )
    table = keras.layers.Embedding(3, 8, dtype=dtype)
    inputs = keras.Input((), dtype="int32")
    outputs = layer(ops.reshape(table(inputs), (-1, 4, 2)))
    model = keras.Model(inputs, ops.reshape(outputs, (-1, 8)))
    weights = {
        "x": x,
        "gamma": rng.normal(size=2),
        "beta": rng.normal(size=2),
        "added": np.array(-0.3),
    }
    table.set_weights([x.reshape(3, 8)])
    layer.set_weights([weights[name] for name in ("gamma", "beta", "added")])
    # The loss is the mean over three samples.
    model.compile(
        keras.optimizers.SGD(3.0), lambda along, y: ops.sum(along * y, -1)
    )
    model.train_on_batch(np.arange(3), direction.reshape(3, 8))

    def loss(x, gamma, beta, added):
        y = addons(x[:, :, None], gamma, beta, 0.1, added)
        return (direction[:, :, None] * y).sum()

    tolerance = 1e-4 if BACKEND == "jax" else 1e-6
    moved = (table.embeddings, layer.gamma, layer.beta, layer.added_epsilon)
    for (name, old), new in zip(weights.items(), moved, strict=True):
        expected = np.zeros_like(old)
        for index in np.ndindex(old.shape):
            step = np.zeros_like(old)
            step[index] = 1e-5
            up, down = (
                loss(**{**weights, name: old + way * step}) for way in (1, -1)
            )
            expected[index] = (up - down) / 2e-5
        np.testing.assert_allclose(
            old - ops.convert_to_numpy(new).reshape(old.shape),
            expected,
            atol=tolerance,
            err_msg=name,
        )


@pytest.mark.parametrize(
    ("axis", "shape", "masked"),
    [(-1, (6, 5, 3), (6, 5)), (1, (6, 1, 5), (6, 5)), (-1, (6, 5, 2), None)],
)
def test_masked_values_do_not_count(axis, shape, masked):
    rng = np.random.default_rng(0)
    x = samples(*shape)
    mask = rng.random(masked or shape) < 0.6
    mask[0] = False  # A sample without values gives no NaN.
    aligned = mask if mask.ndim == x.ndim else np.expand_dims(mask, axis)
    counts = np.moveaxis(np.broadcast_to(aligned, shape), axis, -1)
    layer = FilterResponseNormalization(axis=axis)
    y = run(layer, x, mask=ops.convert_to_tensor(mask))
    assert np.isfinite(y).all()
    x, y = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
    for i, c in np.ndindex(6, shape[axis]):
        values = x[i, :, c][counts[i, :, c]]
        if values.size:
            np.testing.assert_allclose(
                y[i, :, c][counts[i, :, c]],
                values / np.sqrt(np.mean(values**2) + 1e-6),
                rtol=1e-5,
            )


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "bfloat16"])
def test_squares_are_float32_under_every_policy(policy):
    layer = FilterResponseNormalization(dtype=policy)
    # The squares, 360000, are beyond float16; 600 is not.
    x = np.array([[[600.0], [-600.0]]], "float32")
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == policy.split("_")[-1]
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(y, "float32")), x / 600, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axis": [1, 2]}, r"`axis` must be an integer.*axis=\[1, 2\]"),
        ({"epsilon": 0}, "`epsilon` must be a positive.*epsilon=0"),
        ({"epsilon": -1e-6}, "`epsilon`.*epsilon=-1e-06"),
        ({"epsilon": float("nan")}, "`epsilon`.*epsilon=nan"),
        ({"epsilon": "small"}, "`epsilon`.*epsilon=small"),
    ],
)
def test_bad_argument_says_what_was_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        FilterResponseNormalization(**arguments)


@pytest.mark.parametrize(
    ("axis", "shape"),
    [(0, (4, 5, 3)), (-3, (4, 5, 3)), (3, (4, 5, 3)), (1, (None, None, 3))],
)
def test_axis_that_names_no_channels_says_what_was_received(axis, shape):
    with pytest.raises(ValueError, match=rf"axis={axis}.*shape \("):
        FilterResponseNormalization(axis=axis).build(shape)
