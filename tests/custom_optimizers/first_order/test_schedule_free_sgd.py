import numpy as np
import pytest

from keras_regimen.custom_optimizers import ScheduleFreeSGD


# Learning rates are float32 in Keras: powers of 2 are exact.
@pytest.mark.parametrize(
    "arguments", [(0.5, 0.9, 0, 0.0), (0.25, 0.5, 8, 0.25), (0.25, 1.0, 0, 0.0)]
)
def test_path_is_that_of_the_authors(
    path, tolerance, schedule_free, task, arguments
):
    expected = schedule_free(*task, *arguments)
    *arguments, decay = arguments
    optimizer = ScheduleFreeSGD(*arguments, weight_decay=decay or None)
    found = path(optimizer, *task, average=True)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_path_is_that_of_optax(path, task):
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
    found = path(optimizer, *task, dtype="float32", average=True)
    np.testing.assert_allclose(
        found, [*expected, np.asarray(average)], rtol=1e-4, atol=1e-5
    )
