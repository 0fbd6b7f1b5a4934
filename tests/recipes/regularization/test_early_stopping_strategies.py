import numpy as np
import pytest

from keras_regimen.custom_models import evaluate_in_memory, fit_in_memory
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.harness.engine.training import prepared
from keras_regimen.recipes.regularization.early_stopping_strategies import (
    evaluate,
    recipe,
    train,
)


@pytest.fixture(scope="module")
def splits():
    return recipe.at("cpu").data[""](0).to("vector", "classes")


@pytest.fixture(scope="module")
def trained(splits):
    """Each arm's model, and what its fits began with and returned."""
    arms = {}

    def of(name):
        if name in arms:
            return arms[name]
        hp = HyperParameters(recipe.arms[name].on())
        model = prepared(recipe, hp, Data(splits), seed=0)
        order = np.random.default_rng(0)
        calls = []

        def fit(model, x=None, y=None, epochs=None, **options):
            x, y = splits.train if x is None else (x, y)
            start = model.get_weights()
            options = {
                "validation_data": splits.validation,
                "batch_size": 50,
                "verbose": 0,
                **options,
            }
            history = fit_in_memory(
                model, x, y, epochs=epochs or 16, shuffle=order, **options
            )
            calls.append((len(x), start, history.history))
            return history

        arms[name] = train(hp, model, Data(splits), fit), calls
        return arms[name]

    return of


def test_all_that_stop_share_their_first_training(trained):
    _, first, expected = trained("stop")[1][0]
    for name in ("best_of_two", "retrain", "continue"):
        rows, start, history = trained(name)[1][0]
        assert rows == 750
        for curve in ("loss", "val_loss"):
            assert history[curve] == expected[curve]
        for one, other in zip(start, first, strict=True):
            np.testing.assert_array_equal(one, other)


def test_retraining_is_as_long_as_was_best_from_the_same_start(trained):
    (_, first, history), (rows, start, again) = trained("retrain")[1]
    assert rows == 1000
    assert len(again["loss"]) == np.argmin(history["val_loss"]) + 1
    for one, other in zip(start, first, strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_on_starts_at_the_best_epoch_and_reaches_its_loss(
    trained, splits
):
    model, ((_, _, history), (rows, start, again)) = trained("continue")
    assert rows == 1000
    # The weights are those that the arm which only stops hands over.
    stopped = trained("stop")[0]
    for one, other in zip(start, stopped.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    target = evaluate_in_memory(stopped, *splits.train)["loss"]
    aimed = again["aimed_loss"]
    assert aimed[-1] <= target * (1 + 1e-5) < min(aimed[:-1], default=9)
    assert evaluate_in_memory(stopped, *splits.validation)["loss"] == (
        pytest.approx(min(history["val_loss"]), rel=1e-5)
    )
    updates = {"further_updates": 20 * len(again["loss"])}
    assert evaluate(None, model, Data(splits)) == updates


def test_the_second_start_is_another_of_the_same_scale(trained, splits):
    model, ((_, one, first), (rows, other, second)) = trained("best_of_two")
    assert rows == 750
    for a, b in zip(one[::2], other[::2], strict=True):
        assert np.mean(a == b) < 0.1
        np.testing.assert_array_equal(np.sort(a, None), np.sort(b, None))
    best = min(first["val_loss"] + second["val_loss"])
    found = evaluate_in_memory(model, *splits.validation)["loss"]
    assert found == pytest.approx(best, rel=1e-5)
