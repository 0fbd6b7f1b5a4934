import keras
import numpy as np
import pytest

from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.harness import digits
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.regularization import bagging
from keras_regimen.recipes.regularization.bagging import net, recipe


def test_a_seed_decides_the_initial_weights():
    one, two, other = (net(seed).get_weights() for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[0], two[0])
    assert np.all(one[0] != other[0])


def test_arms_differ_in_members_and_in_their_rows():
    settings = {name: arm.fixed for name, arm in recipe.arms.items()}
    assert settings == {
        "single": {"members": 1, "bootstrap": False},
        "member": {"members": 1, "bootstrap": True},
        "bag": {"members": 10, "bootstrap": True},
        "ensemble": {"members": 10, "bootstrap": False},
    }


@pytest.mark.slow
def test_figures_are_those_of_nets_trained_by_hand(monkeypatch):
    monkeypatch.setattr(bagging, "EPOCHS", 3)
    hp = HyperParameters({"members": 2, "bootstrap": True})
    figures = recipe.measure(hp, 5)
    splits = digits(train_size=300)(5).to("vector", "classes")
    (x, y), (test_x, test_y) = splits.train, splits.test
    probabilities = []
    for state in np.random.SeedSequence(5).generate_state(2):
        seed = int(state >> 1)
        bag = np.random.default_rng(seed).integers(0, 300, 300)
        model = net(seed)
        fit_in_memory(
            model,
            x[bag],
            y[bag],
            epochs=3,
            batch_size=30,
            shuffle=np.random.default_rng([seed, 1]),
            verbose=0,
        )
        probabilities.append(keras.ops.convert_to_numpy(model(test_x)))
    mean = np.mean(probabilities, axis=0)
    errors = [np.mean(p.argmax(1) != test_y) for p in (mean, *probabilities)]
    assert figures["test_error"] == pytest.approx(errors[0])
    losses = [
        float(np.mean(keras.losses.sparse_categorical_crossentropy(test_y, p)))
        for p in (mean, *probabilities)
    ]
    assert figures["test_loss"] == pytest.approx(losses[0], rel=1e-4)
    # By convexity: the loss of the mean is at most the mean of the losses.
    assert losses[0] < np.mean(losses[1:])


def test_the_first_member_of_a_bag_is_that_of_a_bag_of_one():
    one, ten = (
        np.random.SeedSequence(3).generate_state(count) for count in (1, 10)
    )
    assert one[0] == ten[0]
