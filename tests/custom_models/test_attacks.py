import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_models import (
    fast_gradient_sign,
    projected_gradient_descent,
    random_perturbation,
)

RNG = np.random.default_rng(0)
X = RNG.random((10, 4)).astype("float32")
Y = RNG.integers(0, 3, 10)
KERNEL = RNG.normal(size=(4, 3)).astype("float32")
BIAS = np.float32([0.1, -0.2, 0.3])
EPSILON, CLIP = 0.2, (0.1, 0.9)


@pytest.fixture(scope="module")
def regression():
    """Softmax regression, compiled."""
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, "softmax", name="softmax")]
    )
    model.layers[0].set_weights([KERNEL, BIAS])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def slope(x):
    """The gradient of each sample's cross-entropy by its inputs."""
    logits = x @ KERNEL + BIAS
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return (p - np.eye(3)[Y]) @ KERNEL.T


def lengths(x):
    return np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("clip", [None, CLIP])
def test_the_fast_gradient_sign_is_that_of_softmax_regression(regression, clip):
    found = fast_gradient_sign(regression, X, Y, EPSILON, clip=clip)
    expected = X + EPSILON * np.sign(slope(X))
    if clip:
        assert np.any((expected < clip[0]) | (expected > clip[1]))
        expected = expected.clip(*clip)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == X.dtype


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_projected_descent_takes_the_steps_of_a_loop_by_hand(regression, norm):
    found = projected_gradient_descent(
        regression, X, Y, EPSILON, 0.1, steps=4, norm=norm, clip=CLIP
    )
    x = X.astype("float64")
    for _ in range(4):
        g = slope(x.clip(*CLIP))
        x = x + 0.1 * (np.sign(g) if norm == "linf" else g / lengths(g))
        delta = x - X
        if norm == "linf":
            delta = delta.clip(-EPSILON, EPSILON)
        else:
            delta *= np.minimum(1, EPSILON / lengths(delta))
        x = (X + delta).clip(*CLIP)
    np.testing.assert_allclose(found, x, atol=1e-5)


def test_one_step_that_reaches_the_ball_is_the_fast_gradient_sign(regression):
    one_step = projected_gradient_descent(regression, X, Y, EPSILON, steps=1)
    np.testing.assert_allclose(
        one_step, fast_gradient_sign(regression, X, Y, EPSILON), atol=1e-7
    )
    # Ten steps find a loss at least as high.
    many = projected_gradient_descent(regression, X, Y, EPSILON)
    losses = [regression.evaluate(x, Y, verbose=0) for x in (X, one_step, many)]
    assert losses[0] < losses[1] <= losses[2] + 1e-6


def test_compiled_batches_give_what_all_samples_at_once_do(regression):
    np.testing.assert_allclose(
        projected_gradient_descent(
            regression, X, Y, EPSILON, steps=3, batch_size=4
        ),
        projected_gradient_descent(regression, X, Y, EPSILON, steps=3),
        atol=1e-6,
    )


def test_a_loss_serves_a_model_that_is_not_compiled(regression):
    bare = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    bare.set_weights([KERNEL, BIAS])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    np.testing.assert_array_equal(
        fast_gradient_sign(bare, X, Y, EPSILON, loss=loss),
        fast_gradient_sign(regression, X, Y, EPSILON),
    )
    with pytest.raises(ValueError, match="loss=None"):
        fast_gradient_sign(bare, X, Y, EPSILON)


def test_losses_of_several_outputs_add_up():
    inputs = keras.Input((4,))
    heads = [layers.Dense(1, use_bias=False)(inputs) for _ in range(2)]
    model = keras.Model(inputs, heads)
    model.set_weights([KERNEL[:, :1], KERNEL[:, 1:2]])
    model.compile("sgd", ["mse", "mae"])
    y = [np.ones((10, 1)), np.full((10, 1), 9.0)]
    found = fast_gradient_sign(model, X, y, EPSILON, batch_size=5)
    by_mse = 2 * (X @ KERNEL[:, :1] - 1) @ KERNEL[:, :1].T
    expected = X + EPSILON * np.sign(by_mse - KERNEL[:, 1])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_inputs_keep_their_float_type_and_integers_become_floats(regression):
    doubled = fast_gradient_sign(regression, X.astype("float64"), Y, EPSILON)
    assert doubled.dtype == np.float64
    whole = fast_gradient_sign(regression, np.ones((10, 4), "uint8"), Y, 0.25)
    np.testing.assert_allclose(abs(whole - 1), 0.25)


def test_what_is_confident_beyond_rounding_still_has_a_direction():
    """Gradients of 1e-25, whose squares float32 rounds to zero."""
    dense = layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((4,)), dense])
    kernel = np.float32([[1], [2], [-2], [4]])
    model.set_weights([1e-25 * kernel])
    model.compile("sgd", keras.losses.MeanAbsoluteError())
    moved = projected_gradient_descent(
        model, X, -np.ones((10, 1)), 1.0, steps=1, norm="l2"
    )
    np.testing.assert_allclose(moved - X, np.tile(kernel.T / 5, (10, 1)), 1e-5)


@pytest.mark.parametrize(
    "batch_size",
    # JAX compiles one batch as it does several.
    [4] if keras.config.backend() == "jax" else [4, 128],
)
def test_the_model_stays_as_it_is_to_the_bit(batch_size):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.BatchNormalization(),
            layers.Dropout(0.5, seed=1),
            layers.Dense(3, "softmax", activity_regularizer="l2"),
        ]
    )
    model.compile(
        "sgd", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(X, Y, verbose=0)
    states = model.variables + model.optimizer.variables
    before = [np.copy(ops.convert_to_numpy(v)) for v in states]
    moved = [
        projected_gradient_descent(
            model,
            X,
            Y,
            EPSILON,
            steps=2,
            random_start=True,
            seed=1,
            training=training,
            batch_size=batch_size,
        )
        for training in (True, False)
    ]
    assert np.all(abs(moved[0] - X) <= EPSILON + 1e-6)
    # With dropout and the statistics of the batch, or without.
    assert np.any(moved[0] != moved[1])
    for variable, old in zip(states, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), old)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_fill_the_ball_evenly(norm, regression):
    x, y = np.full((4000, 4), 0.5, "float32"), np.zeros(4000)
    starts, again, other = (
        projected_gradient_descent(
            regression,
            x,
            y,
            EPSILON,
            step_size=0,
            steps=1,
            norm=norm,
            random_start=True,
            seed=seed,
            batch_size=4000,
        )
        - 0.5
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(starts, again)
    assert np.any(starts != other)
    # Each of these is uniform on [0, 1], of sigma 1 / sqrt(12 * 4000).
    if norm == "linf":
        uniform = (starts / EPSILON + 1) / 2
    else:
        uniform = (lengths(starts) / EPSILON) ** 4
    assert uniform.min() >= 0
    assert uniform.max() <= 1 + 1e-5
    assert np.all(abs(uniform.mean(0) - 0.5) < 4 / np.sqrt(12 * 4000))
    assert np.all(abs(starts.mean(0)) < 4 * EPSILON / np.sqrt(4000))


def test_the_random_control_is_as_large_as_the_attack():
    x = np.full((4000, 4), 0.5, "float32")
    signs = random_perturbation(x, EPSILON, seed=1) - 0.5
    np.testing.assert_allclose(abs(signs), EPSILON, atol=1e-6)
    # The mean of 4000 signs has sigma 1 / sqrt(4000).
    assert np.all(abs(signs.mean(0)) < 4 * EPSILON / np.sqrt(4000))
    directions = random_perturbation(x, EPSILON, norm="l2", seed=1) - 0.5
    np.testing.assert_allclose(lengths(directions), EPSILON, rtol=1e-5)
    clipped = random_perturbation(X, EPSILON, clip=CLIP, seed=1)
    assert clipped.min() >= np.float32(CLIP[0])
    assert clipped.max() <= np.float32(CLIP[1])


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("`epsilon`.*epsilon=-0.1", {"epsilon": -0.1}),
        ("`epsilon`.*epsilon=nan", {"epsilon": float("nan")}),
        ("`step_size`.*step_size=-1", {"step_size": -1}),
        ("`steps`.*steps=0", {"steps": 0}),
        ("`norm`.*norm='l1'", {"norm": "l1"}),
        (r"`clip`.*clip=\(1, 0\)", {"clip": (1, 0)}),
        ("`batch_size`.*batch_size=0", {"batch_size": 0}),
        ("x of 10 and y of 9", {"y": Y[:9]}),
        ("one array.*dict of 1", {"x": {"a": X}, "y": Y[:1]}),
        (r"shape=\(10,\)", {"x": X[:, 0]}),
        ("at least one sample", {"x": X[:0], "y": Y[:0]}),
    ],
)
def test_bad_arguments_say_what_was_received(regression, message, arguments):
    with pytest.raises(ValueError, match=message):
        projected_gradient_descent(
            regression, **{"x": X, "y": Y, "epsilon": EPSILON, **arguments}
        )
