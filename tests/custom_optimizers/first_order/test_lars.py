import keras
import numpy as np
import pytest

from keras_regimen.custom_optimizers import LARS


def lars(weight, gradients, rate, momentum, trust, decay, epsilon):
    """Yields the paper's iterates, as its algorithm 1 has them."""
    m, norm = np.zeros_like(weight), np.linalg.norm
    for g in gradients:
        local = trust * norm(weight)
        local = local / (norm(g) + decay * norm(weight) + epsilon)
        m = momentum * m + rate * local * (g + decay * weight)
        weight = weight - m
        yield weight


@pytest.mark.parametrize(
    "arguments", [(2.0, 0.9, 0.01, 0.25, 0.5), (8.0, 0.0, 0.001, 0.0, 0.0)]
)
def test_path_is_that_of_the_paper(path, tolerance, task, arguments):
    expected = list(lars(*task, *arguments))
    found = path(LARS(*arguments), *task)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_path_is_that_of_optax_without_decay(path, task):
    optax = pytest.importorskip("optax")
    weight, gradients = task
    weight = weight.astype("float32")
    reference = optax.lars(2.0, trust_coefficient=0.01)
    state, expected = reference.init(weight), []
    for gradient in gradients.astype("float32"):
        updates, state = reference.update(gradient, state, weight)
        weight = optax.apply_updates(weight, updates)
        expected.append(np.asarray(weight))
    found = path(LARS(2.0, trust_coefficient=0.01), *task, dtype="float32")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_step_does_not_depend_on_the_size_of_the_gradient(path, task):
    weight, gradients = task
    small, large = (
        path(LARS(1.0), weight, scale * gradients) for scale in (0.01, 100)
    )
    np.testing.assert_allclose(small, large, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "name"), [((3,), "kernel"), ((2, 3), "recurrent_bias")]
)
def test_biases_move_as_by_sgd(path, shape, name):
    gradients = np.random.default_rng(0).normal(size=(5, *shape))
    ours, sgd = (
        path(optimizer, np.ones(shape), gradients, name=name)
        for optimizer in (
            LARS(0.5, weight_decay=0.1),
            keras.optimizers.SGD(0.5, momentum=0.9),
        )
    )
    np.testing.assert_allclose(ours, sgd, rtol=1e-6)
    adapted = path(LARS(0.5, biases=True), np.ones(shape), gradients)
    assert np.abs(adapted - sgd).max() > 0.1


@pytest.mark.parametrize("zero", ["weight", "gradient"])
def test_zeros_are_no_reason_to_stand_still_or_to_jump(path, zero):
    weight = np.full((2, 2), 0.0 if zero == "weight" else 1.0)
    gradient = np.full((2, 2), 0.0 if zero == "gradient" else 1.0)
    (found,) = path(LARS(0.5), weight, [gradient])
    np.testing.assert_array_equal(found, weight - 0.5 * gradient)


def test_exclusion_from_weight_decay_is_kept(path, task):
    optimizer = LARS(1.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["kernel"])
    np.testing.assert_array_equal(
        path(optimizer, *task, name="kernel"), path(LARS(1.0), *task)
    )


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("learning_rate", -0.1, r"\[0, inf\)"),
        ("momentum", 1.0, r"\[0, 1\)"),
        ("trust_coefficient", 0.0, r"\(0, inf\)"),
        ("weight_decay", -1.0, r"\[0, inf\)"),
        ("epsilon", float("nan"), r"\[0, inf\)"),
    ],
)
def test_bad_argument_says_what_was_received(name, value, allowed):
    with pytest.raises(
        ValueError, match=rf"`{name}`.*{allowed}.*{name}={value}"
    ):
        LARS(**{"learning_rate": 1.0, name: value})
