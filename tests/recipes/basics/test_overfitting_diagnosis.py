import numpy as np
import pytest

from keras_regimen.recipes.basics import overfitting_diagnosis as script
from keras_regimen.recipes.basics.overfitting_diagnosis import (
    lstm,
    measure,
    recipe,
)
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)


def test_each_arm_differs_from_the_good_fit_in_one_thing():
    good = recipe.arms["good_fit"].fixed
    for word, arm in recipe.arms.items():
        differing = {k for k, v in arm.fixed.items() if v != good[k]}
        assert arm.fixed["word"] == word
        assert len(differing - {"word"}) == (word != "good_fit")


def test_capacity_is_that_of_the_units():
    # Four gates of inputs, state and bias, and ten outputs.
    for units in (1, 48):
        expected = 4 * units * (8 + units + 1) + 10 * (units + 1)
        assert lstm(units, 0.01).count_params() == expected


@pytest.fixture(scope="module")
def untrained():
    """Figures of a net that does not learn, by one word and by another."""
    patch = pytest.MonkeyPatch()
    patch.setattr(script, "EPOCHS", 2)
    patch.setattr(script, "UPDATES", 1)
    fixed = {
        **recipe.arms["underfitting"].fixed,
        "rows": 50,
        "learning_rate": 1e-4,
    }
    yield [
        measure(HyperParameters({**fixed, "word": word}), 0)
        for word in ("underfitting", "good_fit")
    ]
    patch.undo()


def test_a_net_that_learns_nothing_is_underfitting(untrained):
    right, wrong = untrained
    assert (right["misnamed"], wrong["misnamed"]) == (0, 1)
    assert right["learned"] == pytest.approx(0, abs=0.1)
    assert right["gap"] == pytest.approx(0, abs=0.1)
    # Ten classes, of which it knows none.
    assert 0.7 < right["test_error"] <= 1


def test_the_same_seed_gives_the_same_figures(untrained):
    right, wrong = untrained
    for name in ("test_error", "learned", "gap", "turn"):
        np.testing.assert_array_equal(right[name], wrong[name])
