import keras
import numpy as np
import pytest

from keras_regimen.custom_optimizers import AdaBelief


def ada_belief(weight, gradients, rate, beta_1, beta_2, epsilon):
    """Yields the paper's iterates, as its algorithm 2 has them."""
    m = s = np.zeros_like(weight)
    for t, g in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        s = beta_2 * s + (1 - beta_2) * (g - m) ** 2 + epsilon
        m_hat, s_hat = m / (1 - beta_1**t), s / (1 - beta_2**t)
        weight = weight - rate * m_hat / np.sqrt(s_hat)
        yield weight


# Learning rates are float32 in Keras: 1/8 is exact.
@pytest.mark.parametrize(
    "arguments", [(0.125, 0.9, 0.999, 1e-4), (0.125, 0.5, 0.0, 1e-16)]
)
def test_path_is_that_of_the_paper(path, tolerance, task, arguments):
    expected = list(ada_belief(*task, *arguments))
    found = path(AdaBelief(*arguments), *task)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_path_is_that_of_optax(path, task):
    optax = pytest.importorskip("optax")
    weight, gradients = task
    weight = weight.astype("float32")
    reference = optax.adabelief(0.125, eps=0, eps_root=1e-6)
    state, expected = reference.init(weight), []
    for gradient in gradients.astype("float32"):
        updates, state = reference.update(gradient, state, weight)
        weight = optax.apply_updates(weight, updates)
        expected.append(np.asarray(weight))
    found = path(AdaBelief(0.125, epsilon=1e-6), *task, dtype="float32")
    # optax rounds as 1 - 0.999 ** t does.
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_steady_gradients_give_longer_steps_than_adams(path):
    steady = [np.ones(1)] * 20
    (ours,), (adam,) = (
        -path(optimizer(0.01), np.zeros(1), steady)[-1]
        for optimizer in (AdaBelief, keras.optimizers.Adam)
    )
    assert adam == pytest.approx(0.2, rel=1e-3)
    assert ours > 1.5 * adam


def test_no_gradient_moves_nothing(path):
    found = path(AdaBelief(1.0), np.ones(2), np.zeros((3, 2)))
    np.testing.assert_array_equal(found, 1)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("learning_rate", -0.1, r"\[0, inf\)"),
        ("beta_1", 0.0, r"\(0, 1\)"),
        ("beta_2", 1.0, r"\[0, 1\)"),
        ("epsilon", 0.0, r"\(0, inf\)"),
    ],
)
def test_bad_argument_says_what_was_received(name, value, allowed):
    with pytest.raises(
        ValueError, match=rf"`{name}`.*{allowed}.*{name}={value}"
    ):
        AdaBelief(**{name: value})
