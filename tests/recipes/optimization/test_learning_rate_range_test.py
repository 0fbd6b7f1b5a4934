import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.optimization import (
    learning_rate_range_test as script,
)


def measured(optimizer, method, seed=0):
    settings = {"optimizer": optimizer, "method": method}
    return script.measure(HyperParameters(settings), seed)


@pytest.fixture
def trainings(monkeypatch):
    """The rate, updates and initial weights of each training."""
    seen = []
    train = script.train

    def spy(model, splits, seed, epochs):
        before = int(model.optimizer.iterations)
        weights = model.get_weights()
        train(model, splits, seed, epochs)
        updates = int(model.optimizer.iterations) - before
        seen.append((float(model.optimizer.learning_rate), updates, weights))

    monkeypatch.setattr(script, "train", spy)
    monkeypatch.setattr(script, "GRID", (0.01, 0.1))
    return seen


def test_arms_are_equal_but_for_rates_and_where_updates_go(trainings):
    default = measured("sgd", "default")
    valley = measured("sgd", "valley")
    grid = measured("sgd", "grid")
    rates, updates, starts = zip(*trainings, strict=True)
    suggested = valley["learning_rate"]
    expected = [0.01, 0.01, 0.1, suggested, 0.01, 0.1]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    # A hundred of valley's have gone into the test, which leaves no trace.
    assert updates == (400, 400, 400, 300, 400, 400)
    for start in starts:
        for one, other in zip(start, starts[0], strict=True):
            np.testing.assert_array_equal(one, other)
    assert [arm["updates"] for arm in (default, valley, grid)] == [
        400,
        400,
        800,
    ]
    # The first rate of this grid is the default: one training, one result.
    if grid["learning_rate"] == 0.01:
        assert grid["test_error"] == default["test_error"]
    off = np.abs(np.log10(suggested / grid["learning_rate"]))
    assert valley["decades_from_grid"] == pytest.approx(off)


def test_the_losses_fall_and_break_down_within_the_rates(monkeypatch):
    finders = []
    finder = script.LearningRateFinder

    def spy(*args, **options):
        finders.append(finder(*args, **options))
        return finders[-1]

    monkeypatch.setattr(script, "LearningRateFinder", spy)
    splits = script.digits()(0).to("vector", "classes")
    keras.utils.set_random_seed(0)
    for method in ("valley", "steepest"):
        model = script.net("sgd")
        assert script.suggested(model, splits, 0, method) == finders[
            -1
        ].suggestion(method)
    first = finders[0]
    # The whole story: nothing, descent, divergence.
    smoothed = first.smoothed
    assert smoothed.min() < 0.9 * smoothed[0]
    assert max(first.losses) > 3 * smoothed[0]
    assert 50 < np.argmin(smoothed) < 95
    assert first.rates[0] == 1e-5


def test_the_rate_of_the_grid_is_chosen_by_validation_data(monkeypatch):
    monkeypatch.setattr(script, "EPOCHS", 1)
    # Test and validation error by rate; test errors would choose the last.
    errors = iter([0.5, 0.3, 0.4, 0.2, 0.1, 0.2, 0.0, 0.4])
    monkeypatch.setattr(script, "error", lambda model, data: next(errors))
    monkeypatch.setattr(script, "GRID", (0.01, 0.03, 0.1, 0.3))
    splits = script.digits()(0).to("vector", "classes")
    model = script.net("adam")
    before = model.get_weights()
    assert script.best_of_grid(model, splits, 0) == (0.03, 0.4)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
