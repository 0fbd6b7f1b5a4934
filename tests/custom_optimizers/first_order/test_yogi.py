import keras
import numpy as np
import pytest

from keras_regimen.custom_optimizers import Yogi


def yogi(weight, gradients, rate, beta_1, beta_2, epsilon, start):
    """Yields the paper's iterates, with both biases corrected."""
    m, v = np.zeros_like(weight), np.full_like(weight, start)
    for t, g in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = v - (1 - beta_2) * np.sign(v - g**2) * g**2
        m_hat, v_hat = m / (1 - beta_1**t), v / (1 - beta_2**t)
        weight = weight - rate * m_hat / (np.sqrt(v_hat) + epsilon)
        yield weight


# Keras rounds learning rates and initial values to float32: powers of 2 are
# exact. The last case starts
# high, so that the second moment falls.
@pytest.mark.parametrize(
    "arguments",
    [(0.125, 0.9, 0.999, 1e-3, 2**-20), (0.125, 0.5, 0.75, 0.25, 4.0)],
)
def test_path_is_that_of_the_paper(path, tolerance, task, arguments):
    expected = list(yogi(*task, *arguments))
    found = path(Yogi(*arguments), *task)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_path_is_that_of_optax(path, task):
    optax = pytest.importorskip("optax")
    weight, gradients = task
    weight = weight.astype("float32")
    # Its momentum starts at the accumulator's value: a small one.
    transform = optax.scale_by_yogi(eps=1e-2, initial_accumulator_value=1e-9)
    state, expected = transform.init(weight), []
    for gradient in gradients.astype("float32"):
        updates, state = transform.update(gradient, state)
        weight = weight - 0.125 * updates
        expected.append(np.asarray(weight))
    optimizer = Yogi(0.125, epsilon=1e-2, initial_accumulator=1e-9)
    found = path(optimizer, *task, dtype="float32")
    # optax rounds as 1 - 0.999 ** t does.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_large_gradients_are_forgotten_more_slowly_than_by_adam(path):
    gradients = [np.full(1, 100.0)] + [np.ones(1)] * 50
    # beta_1 = 0: the step alone shows the second moment.
    ours, adam = (
        np.abs(np.diff(path(o, np.zeros(1), gradients)[:, 0])[-1])
        for o in (
            Yogi(1.0, 0.0, 0.9, 0.0, 0.0),
            keras.optimizers.Adam(1.0, 0.0, 0.9),
        )
    )
    assert ours < adam / 5


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("learning_rate", -0.1, r"\[0, inf\)"),
        ("beta_1", 1.0, r"\[0, 1\)"),
        ("beta_2", float("nan"), r"\[0, 1\)"),
        ("epsilon", -1.0, r"\[0, inf\)"),
        ("initial_accumulator", -1.0, r"\[0, inf\)"),
    ],
)
def test_bad_argument_says_what_was_received(name, value, allowed):
    with pytest.raises(
        ValueError, match=rf"`{name}`.*{allowed}.*{name}={value}"
    ):
        Yogi(**{name: value})
