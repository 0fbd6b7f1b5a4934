import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import ScheduleFreeAdamW, ScheduleFreeSGD

both = pytest.mark.parametrize(
    "optimizer", [ScheduleFreeAdamW, ScheduleFreeSGD]
)


def apply(optimizer, variable, gradient):
    gradient = ops.convert_to_tensor(gradient, variable.dtype)
    optimizer.apply([gradient], [variable])
    return ops.convert_to_numpy(variable).copy()


def iterate(optimizer, variable):
    """Returns z, with `beta_1=0.5`: the model's weights are midway to x."""
    y = ops.convert_to_numpy(variable).copy()
    optimizer.use_averaged_weights([variable])
    x = ops.convert_to_numpy(variable).copy()
    optimizer.use_training_weights()
    return 2 * y - x


@both
def test_swap_shows_the_average_and_comes_back_to_the_bit(
    optimizer, task, wide
):
    weight, gradients = task
    swapped, plain = optimizer(0.25), optimizer(0.25)
    variable, twin = (keras.Variable(weight, dtype=wide) for _ in range(2))
    for step, gradient in enumerate(gradients):
        apply(swapped, variable, gradient)
        expected = apply(plain, twin, gradient)
        swapped.use_averaged_weights([variable])
        average = ops.convert_to_numpy(variable).copy()
        # The first step is all that there is to average.
        assert (np.abs(average - expected).max() > 1e-3) == (step > 0)
        swapped.use_averaged_weights([variable])  # They are there already.
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), average)
        swapped.use_training_weights()
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), expected)


@both
def test_average_is_that_of_the_steps(optimizer, task, wide):
    """With `beta_1=1`, the model holds the average all the time."""
    weight, gradients = task
    ours = optimizer(0.25, beta_1=0.5)
    variable = keras.Variable(weight, dtype=wide)
    iterates = []
    for gradient in gradients:
        apply(ours, variable, gradient)
        iterates.append(iterate(ours, variable))
    ours.finalize_variable_values([variable])
    # Equal learning rates, equal weights.
    expected = np.mean(iterates, axis=0)
    found = ops.convert_to_numpy(variable)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    ours.finalize_variable_values([variable])  # It is written already.
    np.testing.assert_array_equal(ops.convert_to_numpy(variable), found)


@both
def test_training_goes_on_after_the_average_was_written(optimizer, task, wide):
    weight, gradients = task
    ended, plain = optimizer(0.25), optimizer(0.25)
    variable, twin = (keras.Variable(weight, dtype=wide) for _ in range(2))
    for step, gradient in enumerate(gradients):
        found = apply(ended, variable, gradient)
        expected = apply(plain, twin, gradient)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        if step % 5 == 4:  # As at the end of each `fit`.
            ended.finalize_variable_values([variable])
            moved = ops.convert_to_numpy(variable) - expected
            assert np.abs(moved).max() > 1e-3


@both
def test_fit_ends_with_the_average(optimizer):
    """Its state is made in `build`, which `fit` traces."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 3)).astype("float32")
    y = rng.normal(size=(8, 2)).astype("float32")
    kernel = rng.normal(size=(3, 2)).astype("float32")
    dense = keras.layers.Dense(2, use_bias=False)
    model = keras.Sequential([keras.Input((3,)), dense])
    model.compile(optimizer(0.25), "mse")
    model.set_weights([kernel])
    model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)

    by_hand, variable = optimizer(0.25), keras.Variable(kernel)
    for _ in range(3):
        for part in (slice(0, 4), slice(4, 8)):
            weights = ops.convert_to_numpy(variable)
            gradient = x[part].T @ (x[part] @ weights - y[part]) / 4
            apply(by_hand, variable, gradient)
    in_training = ops.convert_to_numpy(variable).copy()
    by_hand.use_averaged_weights([variable])
    found = ops.convert_to_numpy(dense.kernel)
    np.testing.assert_allclose(
        found, ops.convert_to_numpy(variable), rtol=1e-4, atol=1e-5
    )
    assert np.abs(found - in_training).max() > 1e-3


@both
def test_no_learning_rate_moves_nothing(optimizer, task, wide):
    weight, gradients = task
    variable = keras.Variable(weight, dtype=wide)
    found = apply(optimizer(0.0), variable, gradients[0])
    np.testing.assert_array_equal(found, weight.astype(wide))


@both
def test_schedule_weighs_steps_by_the_largest_rate_so_far(
    optimizer, task, wide
):
    weight, gradients = task
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [0, 1], [0.25, 0.5, 0.125]
    )
    ours = optimizer(schedule, beta_1=0.5)
    variable = keras.Variable(weight, dtype=wide)
    iterates = []
    for gradient in gradients[:4]:
        apply(ours, variable, gradient)
        iterates.append(iterate(ours, variable))
    ours.use_averaged_weights([variable])
    # The squares of 1/4 and of 1/2, which stays the largest.
    expected = np.average(iterates, axis=0, weights=[1, 4, 4, 4])
    np.testing.assert_allclose(
        ops.convert_to_numpy(variable), expected, rtol=1e-5, atol=1e-6
    )


@both
def test_second_average_is_refused(optimizer):
    with pytest.raises(ValueError, match="second time.*use_ema=True"):
        optimizer(0.1, use_ema=True)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("learning_rate", -0.1, r"\[0, inf\)"),
        ("beta_1", 0.0, r"\(0, 1\]"),
        ("beta_1", 1.5, r"\(0, 1\]"),
        ("warmup_steps", -1, "0 or more"),
        ("warmup_steps", 1.5, "0 or more"),
        ("weight_decay", float("nan"), r"\[0, inf\)"),
    ],
)
@both
def test_bad_argument_says_what_was_received(optimizer, name, value, allowed):
    message = rf"`{name}`.*{allowed}.*{name}={value}"
    with pytest.raises(ValueError, match=message):
        optimizer(**{name: value})
