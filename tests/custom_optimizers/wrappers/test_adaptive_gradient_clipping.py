import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import AdaptiveGradientClipping


def step(weight, gradient, inner=None, **options):
    """Returns what the inner optimizer's gradient was."""
    inner = inner or keras.optimizers.SGD(1.0)
    optimizer = AdaptiveGradientClipping(inner, **options)
    variable = keras.Variable(weight)
    optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
    return weight - ops.convert_to_numpy(variable)


@pytest.mark.parametrize("shape", [(), (4,), (5, 4), (3, 3, 2, 4)])
def test_clips_units_as_optax_does(shape):
    optax = pytest.importorskip("optax")
    rng = np.random.default_rng(0)
    weight, gradient = rng.normal(size=(2, *shape)).astype("float32")
    weight, gradient = np.asarray(weight), np.asarray(gradient / 10)
    reference = optax.adaptive_grad_clip(0.1)
    expected, _ = reference.update(gradient, reference.init(weight), weight)
    found = step(weight, gradient, clip_factor=0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    if len(shape) > 1:
        clipped = np.abs(np.asarray(expected) - gradient) > 1e-6
        assert 0 < clipped.mean() < 1


def test_kernel_of_a_1d_convolution_has_units_too():
    """Optax takes three axes for heads, the paper means filters."""
    weight = np.ones((3, 2, 4), "float32")
    gradient = np.random.default_rng(0).normal(size=weight.shape)
    found = step(weight, gradient.astype("float32"), clip_factor=0.1)
    norms = np.linalg.norm(found.reshape(6, 4), axis=0)
    np.testing.assert_allclose(norms, 0.1 * np.sqrt(6), rtol=1e-4)


def test_weights_that_are_zero_move():
    found = step(np.zeros((2, 1), "float32"), np.ones((2, 1), "float32"))
    assert np.linalg.norm(found) == pytest.approx(0.01 * 1e-3, rel=1e-4)


def test_scaled_gradients_are_clipped_alike():
    rng = np.random.default_rng(0)
    weight, gradient = rng.normal(size=(2, 5, 4)).astype("float32")
    scaled = keras.optimizers.SGD(1.0, loss_scale_factor=1024.0)
    np.testing.assert_array_equal(
        step(weight, 1024 * gradient, scaled), step(weight, gradient)
    )


def test_huge_factor_is_the_inner_optimizer_to_the_bit():
    rng = np.random.default_rng(0)
    weight, gradient = rng.normal(size=(2, 5, 4)).astype("float32")
    variable = keras.Variable(weight)
    sgd = keras.optimizers.SGD(1.0)
    sgd.apply([ops.convert_to_tensor(gradient)], [variable])
    plain = weight - ops.convert_to_numpy(variable)
    found = step(weight, gradient, clip_factor=1e30)
    np.testing.assert_array_equal(found, plain)


def test_accumulating_optimizer_is_refused():
    inner = keras.optimizers.SGD(gradient_accumulation_steps=2)
    with pytest.raises(ValueError, match="gradient_accumulation_steps=2"):
        AdaptiveGradientClipping(inner)


@pytest.mark.parametrize(
    ("name", "value"), [("clip_factor", 0.0), ("epsilon", -1.0)]
)
def test_bad_argument_says_what_was_received(name, value):
    with pytest.raises(ValueError, match=rf"`{name}`.*{name}={value}"):
        AdaptiveGradientClipping("sgd", **{name: value})
