import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import PolyakAveraging


def train(optimizer, weight, gradients, dtype="float32"):
    """Returns the weight after each step, and the variable."""
    variable = keras.Variable(weight, dtype=dtype)
    found = []
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient, dtype)], [variable])
        found.append(ops.convert_to_numpy(variable).copy())
    return np.stack(found), variable


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 2)), rng.normal(size=(20, 3, 2))


@pytest.mark.parametrize("start_step", [0, 5, 19, 100])
def test_end_is_the_mean_from_the_start_step(task, start_step):
    optimizer = PolyakAveraging(keras.optimizers.Adam(0.1), start_step)
    path, variable = train(optimizer, *task)
    optimizer.finalize_variable_values([variable])
    # Before the start there is nothing to average: the weights themselves.
    counted = path[start_step:] if start_step < 20 else path[-1:]
    found = ops.convert_to_numpy(variable)
    np.testing.assert_allclose(found, counted.mean(0), rtol=1e-5, atol=1e-6)
    if start_step == 100:
        np.testing.assert_array_equal(found, path[-1])


def test_training_is_the_inner_optimizers_to_the_bit(task):
    path, _ = train(PolyakAveraging("adam"), *task)
    plain, _ = train(keras.optimizers.Adam(), *task)
    np.testing.assert_array_equal(path, plain)


def test_counts_steps_and_not_accumulated_gradients(task):
    weight, gradients = task
    inner = keras.optimizers.SGD(0.5, gradient_accumulation_steps=2)
    optimizer = PolyakAveraging(inner, start_step=1)
    path, variable = train(optimizer, weight, gradients)
    optimizer.finalize_variable_values([variable])
    np.testing.assert_allclose(
        ops.convert_to_numpy(variable),
        path[3::2].mean(0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_mean_of_many_half_floats_still_moves():
    optimizer = PolyakAveraging(keras.optimizers.SGD(1.0))
    gradients = np.r_[np.zeros((300, 1)), [[-1.0]], np.zeros((299, 1))]
    _, variable = train(optimizer, [0.0], gradients, "bfloat16")
    optimizer.finalize_variable_values([variable])
    (found,) = ops.convert_to_numpy(ops.cast(variable.value, "float32"))
    assert found == pytest.approx(0.5, rel=2**-8)


def test_fit_validates_with_the_weights_and_ends_with_the_mean():
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((1,)), dense])
    model.compile(PolyakAveraging(keras.optimizers.SGD(1.0)), lambda _, y: y)
    x = np.ones((3, 1))
    model.fit(x, x, batch_size=1, epochs=2, verbose=0)
    # From 1 down to -5.
    expected = np.mean([0, -1, -2, -3, -4, -5])
    np.testing.assert_allclose(ops.convert_to_numpy(dense.kernel), expected)


def test_two_averages_are_refused():
    with pytest.raises(ValueError, match="one of the averages.*use_ema=True"):
        PolyakAveraging(keras.optimizers.SGD(use_ema=True))


@pytest.mark.parametrize("start_step", [-1, 0.5, None])
def test_bad_start_step_says_what_was_received(start_step):
    with pytest.raises(ValueError, match=rf"start_step={start_step}"):
        PolyakAveraging("sgd", start_step)
