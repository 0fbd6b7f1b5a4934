import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import ScheduleFreeSGD

WIDE = "float32" if keras.config.backend() == "jax" else "float64"
TOLERANCE = 1e-5 if WIDE == "float32" else 1e-12


def path(optimizer, weight, gradients, dtype=WIDE):
    """Returns the weight after each step, and the average at the end."""
    variable = keras.Variable(weight, dtype=dtype)
    found = []
    for gradient in gradients:
        gradient = ops.convert_to_tensor(gradient, dtype)
        optimizer.apply([gradient], [variable])
        found.append(ops.convert_to_numpy(variable).copy())
    optimizer.use_averaged_weights([variable])
    return [*found, ops.convert_to_numpy(variable).copy()]


def schedule_free(weight, gradients, rate, beta, warmup, decay):
    """Returns the authors' y after each step, and x at the end."""
    x = y = z = weight
    largest = total = 0
    found = []
    for k, g in enumerate(gradients):
        current = rate * min((k + 1) / warmup if warmup else 1, 1)
        largest = max(largest, current)
        total += largest**2
        z = z - current * (g + decay * y)
        c = largest**2 / total
        x = (1 - c) * x + c * z
        y = (1 - beta) * z + beta * x
        found.append(y)
    return [*found, x]


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 2)), rng.normal(size=(20, 3, 2))


# Learning rates are float32 in Keras: powers of 2 are exact.
@pytest.mark.parametrize(
    "arguments", [(0.5, 0.9, 0, 0.0), (0.25, 0.5, 8, 0.25), (0.25, 1.0, 0, 0.0)]
)
def test_path_is_that_of_the_authors(task, arguments):
    expected = schedule_free(*task, *arguments)
    *arguments, decay = arguments
    optimizer = ScheduleFreeSGD(*arguments, weight_decay=decay or None)
    found = path(optimizer, *task)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_path_is_that_of_optax(task):
    optax = pytest.importorskip("optax")
    weight, gradients = task
    weight = weight.astype("float32")
    reference = optax.contrib.schedule_free_sgd(0.25, weight_decay=0.125)
    state, expected = reference.init(weight), []
    for gradient in gradients.astype("float32"):
        updates, state = reference.update(gradient, state, weight)
        weight = optax.apply_updates(weight, updates)
        expected.append(np.asarray(weight))
    average = optax.contrib.schedule_free_eval_params(state, weight)
    optimizer = ScheduleFreeSGD(0.25, weight_decay=0.125)
    found = path(optimizer, *task, dtype="float32")
    np.testing.assert_allclose(
        found, [*expected, np.asarray(average)], rtol=1e-4, atol=1e-5
    )
