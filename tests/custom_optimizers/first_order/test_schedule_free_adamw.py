import numpy as np
import pytest

from keras_regimen.custom_optimizers import ScheduleFreeAdamW


def preconditioned(gradients, beta_2, epsilon):
    """Yields Adam's steps without momentum, from a start at 0."""
    v = np.zeros_like(gradients[0])
    for k, g in enumerate(gradients):
        v = beta_2 * v + (1 - beta_2) * g**2
        yield g / (np.sqrt(v / (1 - beta_2 ** (k + 1))) + epsilon)


# Learning rates are float32 in Keras: powers of 2 are exact.
@pytest.mark.parametrize(
    "arguments",
    [
        (0.125, 0.9, 0.999, 1e-8, 0, 0.0),
        (0.25, 0.5, 0.9, 0.1, 8, 0.25),
    ],
)
def test_path_is_that_of_the_authors(
    path, tolerance, schedule_free, task, arguments
):
    weight, gradients = task
    rate, beta_1, beta_2, epsilon, warmup, decay = arguments
    directions = preconditioned(gradients, beta_2, epsilon)
    expected = schedule_free(weight, directions, rate, beta_1, warmup, decay)
    *arguments, decay = arguments
    optimizer = ScheduleFreeAdamW(*arguments, weight_decay=decay or None)
    found = path(optimizer, *task, average=True)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_path_is_that_of_optax(path, task):
    optax = pytest.importorskip("optax")
    weight, gradients = task
    weight = weight.astype("float32")
    reference = optax.contrib.schedule_free_adamw(
        0.125, eps=1e-4, weight_decay=0.125
    )
    state, expected = reference.init(weight), []
    for gradient in gradients.astype("float32"):
        updates, state = reference.update(gradient, state, weight)
        weight = optax.apply_updates(weight, updates)
        expected.append(np.asarray(weight))
    average = optax.contrib.schedule_free_eval_params(state, weight)
    optimizer = ScheduleFreeAdamW(0.125, epsilon=1e-4, weight_decay=0.125)
    found = path(optimizer, *task, dtype="float32", average=True)
    np.testing.assert_allclose(
        found, [*expected, np.asarray(average)], rtol=1e-4, atol=1e-4
    )


def test_excluded_weights_do_not_decay(path, task):
    optimizer = ScheduleFreeAdamW(0.125, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["variable"])
    found, plain = (
        path(o, *task, average=True)
        for o in (optimizer, ScheduleFreeAdamW(0.125))
    )
    np.testing.assert_array_equal(found, plain)


@pytest.mark.parametrize("name", ["beta_2", "epsilon"])
def test_bad_argument_says_what_was_received(name):
    with pytest.raises(ValueError, match=rf"`{name}`.*{name}=-1"):
        ScheduleFreeAdamW(**{name: -1})
