import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_models.training_step import (
    differentiate,
    gradient_by_inputs,
    snapshot,
    sum_over_replicas,
)
from keras_regimen.custom_optimizers.autodiff import compiled

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")


def numbers(tensors):
    return [np.array(ops.convert_to_numpy(tensor)) for tensor in tensors]


@pytest.fixture
def norm():
    """A layer with weights, statistics and random seeds."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.BatchNormalization(momentum=0.5),
            layers.Dropout(0.5, seed=1),
        ]
    )
    for weight in model.trainable_weights:
        weight.assign([1.0, 2.0, 3.0])
    return model


def moving_mean(model):
    return ops.convert_to_numpy(model.layers[0].moving_mean)


def test_gradients_are_those_of_the_scaled_loss_and_the_loss_is_not():
    weight, idle = keras.Variable([1.0, -2.0]), keras.Variable(1.0)
    loss, extras, (gradient, other) = differentiate(
        lambda: (ops.sum(weight**3), {"twice": 2 * weight}),
        [weight, idle],
        scale=lambda loss: 4 * loss,
    )
    assert float(loss) == -7
    np.testing.assert_allclose(numbers([extras["twice"]])[0], [2, -4])
    np.testing.assert_allclose(numbers([gradient])[0], [12, 48])
    assert other is None or float(other) == 0


def test_what_is_assigned_stays_but_not_elsewhere(norm):
    def loss():
        return ops.sum(norm(X, training=True) ** 2), None

    mean = X.mean(axis=0)
    elsewhere = [2 * weight.value for weight in norm.trainable_weights]
    before = numbers(norm.variables)
    differentiate(loss, norm.trainable_weights, at=elsewhere)
    for old, new in zip(before, numbers(norm.variables), strict=True):
        np.testing.assert_array_equal(old, new)
    differentiate(loss, norm.trainable_weights)
    np.testing.assert_allclose(moving_mean(norm), mean / 2, rtol=1e-6)


def test_state_repeats_what_was_drawn(norm):
    def outputs():
        y = norm(X, training=True)
        return ops.sum(y * y), y

    def twice():
        known = snapshot(norm.non_trainable_variables)
        weights = norm.trainable_weights
        first = differentiate(outputs, weights)
        here = [ops.copy(weight.value) for weight in weights]
        again = differentiate(outputs, weights, at=here, state=known)
        other = differentiate(outputs, weights, at=here)
        return first, again, other

    for run in (twice, compiled(twice)):
        first, again, other = run()
        for a, b in zip(
            numbers([*first[:2], *first[2]]),
            numbers([*again[:2], *again[2]]),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)
        kept, dropped = numbers([first[1], other[1]])
        assert np.any((kept == 0) != (dropped == 0))


def test_inputs_have_a_gradient_that_leaves_no_trace(norm):
    before = numbers(norm.variables)
    dense = layers.Dense(1)
    dense.build((None, 3))
    found = gradient_by_inputs(
        lambda x: ops.sum(dense(x)) + 0 * ops.sum(norm(x, training=True)),
        ops.convert_to_tensor(X),
    )
    kernel = ops.convert_to_numpy(dense.kernel)[:, 0]
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), np.tile(kernel, (8, 1)), rtol=1e-6
    )
    for old, new in zip(before, numbers(norm.variables), strict=True):
        np.testing.assert_array_equal(old, new)


def test_one_device_sums_nothing():
    tensors = [ops.ones(2), ops.zeros(())]
    assert sum_over_replicas(tensors) is tensors
