import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.regularization.dropout import recipe


def built(arm, **settings):
    splits = recipe.at("smoke").data["noisy"](0).to("vector", "classes")
    hp = HyperParameters({**recipe.arms[arm].on("noisy"), **settings})
    return recipe.build(hp, Data(splits)), splits


@pytest.mark.parametrize(
    ("arm", "layers"),
    [
        ("plain", []),
        ("dropout", ["Dropout", "Dropout"]),
        ("dropout_2014", ["StandardDropout", "StandardDropout"]),
    ],
)
def test_an_arm_has_the_dropout_that_it_is_about(arm, layers):
    model, _ = built(arm)
    found = [type(layer).__name__ for layer in model.layers]
    assert [name for name in found if "Dropout" in name] == layers


def test_the_penalty_is_that_of_two_kernels():
    model, _ = built("l2", l2=1e-3)
    kernels = [layer.kernel for layer in model.layers if layer.weights][:2]
    by_hand = sum(1e-3 * np.sum(np.square(np.array(k))) for k in kernels)
    np.testing.assert_allclose(sum(model.losses), by_hand, rtol=1e-5)


def bound_share(arm, **settings):
    """Returns the share of units whose weights are at the radius."""
    model, splits = built(arm, **settings)
    radius = settings.get("max_norm", recipe.arms[arm].on("noisy")["max_norm"])
    model.fit(*splits.train, batch_size=50, epochs=10, verbose=0)
    kernels = [layer.kernel for layer in model.layers if layer.weights][:2]
    norms = [np.linalg.norm(np.array(k), axis=0) for k in kernels]
    assert max(n.max() for n in norms) <= radius * (1 + 1e-5)
    return [np.mean(n > 0.999 * radius) for n in norms]


@pytest.mark.slow
def test_a_small_radius_binds_most_units():
    first, second = bound_share("max_norm", max_norm=0.5, learning_rate=0.1)
    assert min(first, second) > 0.5


@pytest.mark.slow
def test_the_radius_that_the_search_prefers_binds_few_units():
    """As the script says: its max-norm arms are hardly constrained."""
    assert max(bound_share("max_norm")) < 0.5


def test_noise_is_on_training_and_validation_labels_alone():
    data = recipe.at("cpu").data
    noisy, clean = data["noisy"](0), data["clean"](0)
    for part, share in (("train", 0.3), ("validation", 0.3), ("test", 0.0)):
        (x, y), (clean_x, clean_y) = getattr(noisy, part), getattr(clean, part)
        np.testing.assert_array_equal(x, clean_x)
        assert np.mean(y != clean_y) == pytest.approx(share)
