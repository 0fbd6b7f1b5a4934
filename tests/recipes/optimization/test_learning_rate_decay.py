import keras
import numpy as np
import pytest

from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.optimization import learning_rate_decay as script


def test_weights_are_those_of_sgd_by_hand():
    minima = np.random.default_rng(0).normal(size=(30, 5)).astype("float32")
    expected = np.zeros(5)
    for minimum in minima:
        expected += 0.25 * (minimum - expected)
    np.testing.assert_allclose(
        script.weights_after(0.25, minima), expected, rtol=1e-5, atol=1e-6
    )


def test_the_variance_of_a_constant_rate_is_that_of_a_simulation():
    rng = np.random.default_rng(0)
    weights = np.zeros(20_000)
    for _ in range(200):
        weights += script.CONSTANT * (rng.normal(size=20_000) - weights)
    expected = script.CONSTANT / (2 - script.CONSTANT)
    # One sigma of a variance from 20,000 draws is 1 %.
    assert np.var(weights) == pytest.approx(expected, rel=0.04)
    # And 1/t is far enough below it for the claim to hold.
    assert 1.05 / 200 / expected < script.recipe.claims[-1].at_most


def test_schedules_start_at_the_rate_and_differ_in_form():
    rates = {
        name: [float(make(0.5)(epoch)) for epoch in range(30)]
        for name, make in script.SCHEDULES.items()
    }
    epochs = np.arange(30)
    expected = {
        "constant": np.full(30, 0.5),
        "step": np.repeat([0.5, 0.05, 0.005], 10),
        "exponential": 0.5 * 0.01 ** (epochs / 30),
        "cosine": 0.25 * (1 + np.cos(np.pi * epochs / 30)),
    }
    assert rates.keys() == expected.keys()
    for name, found in rates.items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-5)


@pytest.fixture
def fits(monkeypatch):
    """The rates and the final weights of each fit."""
    rates, ends = [], []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    def spy(model, *args, **options):
        options["callbacks"].append(Watch())
        fit_in_memory(model, *args, **options)
        ends.append(model.get_weights())

    monkeypatch.setattr(script, "fit_in_memory", spy)
    monkeypatch.setattr(script, "EPOCHS", 3)
    monkeypatch.setattr(script, "STEPS", 2)
    return rates, ends


def test_an_arm_trains_by_its_schedule_from_the_same_start(fits, monkeypatch):
    monkeypatch.setattr(script, "RATES", (0.1, 0.3, 0.1))
    script.on_digits("step", 0)
    rates, ends = fits
    by_hand = np.outer([0.1, 0.3, 0.1], [1.0, 0.1, 0.01]).ravel()
    np.testing.assert_allclose(rates, by_hand, rtol=1e-5)
    for first, last in zip(ends[0], ends[2], strict=True):
        np.testing.assert_array_equal(first, last)
    assert np.any(ends[0][0] != ends[1][0])


def test_arms_start_alike(fits, monkeypatch):
    monkeypatch.setattr(script, "RATES", (0.0,))
    for schedule in ("constant", "cosine"):
        script.on_digits(schedule, 0)
    for one, other in zip(*fits[1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_rate_is_chosen_by_validation_data(fits, monkeypatch):
    # Validation and test error by rate; test errors would choose the last.
    errors = iter([0.3, 0.5, 0.2, 0.4, 0.2, 0.1, 0.4, 0.0])
    monkeypatch.setattr(script, "error", lambda model, data: next(errors))
    found = script.on_digits("constant", 0)
    assert found["learning_rate"] == 0.03
    assert (found["validation_error"], found["test_error"]) == (0.2, 0.4)
    assert found["mean_test_error"] == pytest.approx(0.25)
