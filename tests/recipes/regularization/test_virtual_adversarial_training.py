import numpy as np
import pytest

from keras_regimen.custom_models import (
    fit_in_memory,
    random_perturbation,
    why_plain_fit,
)
from keras_regimen.recipes.harness import digits
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.harness.engine.training import prepared
from keras_regimen.recipes.regularization.virtual_adversarial_training import (
    recipe,
    train,
)

CONDITIONS = recipe.at("cpu").data


def settings(arm, condition="labels_50"):
    return HyperParameters(recipe.arms[arm].on(condition))


@pytest.fixture(scope="module")
def splits():
    return CONDITIONS["labels_50"](0).to("vector", "classes")


@pytest.mark.parametrize(
    ("condition", "count"), [("labels_50", 50), ("labels_100", 100)]
)
def test_labels_are_few_and_of_each_class_as_many(condition, count):
    few, whole = CONDITIONS[condition](3), digits()(3)
    x, y = few.train
    np.testing.assert_array_equal(np.bincount(y), np.full(10, count // 10))
    np.testing.assert_array_equal(few.unlabeled, whole.train[0])
    np.testing.assert_array_equal(few.test[0], whole.test[0])
    np.testing.assert_array_equal(few.validation[1], whole.validation[1])
    # Each is one of the rows, with its own label.
    rows = {
        image.tobytes(): label
        for image, label in zip(*whole.train, strict=True)
    }
    assert [rows[image.tobytes()] for image in x] == list(y)


def test_all_labels_are_those_of_digits():
    whole = CONDITIONS["all_labels"](3)
    assert whole.counts == digits()(3).counts
    np.testing.assert_array_equal(whole.unlabeled, whole.train[0])


def test_every_arm_sees_the_same_labelled_batches(splits):
    seen = []

    def fit(model, x, y):
        seen.append((model, x, y))
        # Or each update would be a call of its own.
        assert why_plain_fit(model, x, y) is None

    for arm in recipe.arms:
        hp = settings(arm)
        model = prepared(recipe, hp, Data(splits), seed=0)
        assert train(hp, model, Data(splits), fit) is model
    (first, x, y), *others = seen
    assert len(x["labeled"]) == len(x["unlabeled"]) == len(y) == 1000
    np.testing.assert_array_equal(x["unlabeled"], splits.unlabeled)
    np.testing.assert_array_equal(np.bincount(y), np.full(10, 100))
    for model, inputs, labels in others:
        np.testing.assert_array_equal(inputs["labeled"], x["labeled"])
        np.testing.assert_array_equal(labels, y)
        for ours, theirs in zip(
            first.get_weights(), model.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    sizes = [model.epsilon for model, *_ in seen]
    assert sizes[:2] == [0, 0]
    # A random direction gets a second chance, at twice the length.
    assert sizes[2:] == [0.6, 1.2, 0.6]
    directions = [model.direction for model, *_ in seen[2:]]
    assert directions == ["random", "random", "adversarial"]


def test_longer_is_as_many_gradients():
    cpu = recipe.at("cpu")
    updates = {
        arm: cpu.epochs * cpu.steps_per_epoch(settings(arm))
        for arm in ("plain_longer", "vat")
    }
    # By the inputs, of the loss and of the divergence.
    assert updates["plain_longer"] == 3 * updates["vat"]


def test_perturbations_flatten_predictions_on_inputs_without_labels(splits):
    """After some updates, the divergence that an arm is about is less."""
    changes = {}
    for arm in ("plain", "vat"):
        hp = settings(arm)
        model = prepared(recipe, hp, Data(splits), seed=0)

        def fit(model, x, y):
            fit_in_memory(
                model, x, y, batch_size=50, epochs=3, shuffle=False, verbose=0
            )

        train(hp, model, Data(splits), fit)
        # The steepest of 20 random directions stands for the worst.
        x = np.tile(splits.unlabeled[:300], (20, 1))
        moved = random_perturbation(x, 0.6, norm="l2", seed=0)
        p, q = (np.array(model(inputs)) for inputs in (x, moved))
        divergence = np.sum(p * np.log(p / q), axis=1)
        changes[arm] = divergence.reshape(20, 300).max(axis=0).mean()
    assert changes["vat"] < changes["plain"]
