import numpy as np
import pytest

from keras_regimen.custom_models import fit_in_memory
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


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["max_norm", "dropout_max_norm"])
def test_most_units_end_at_the_radius_that_the_search_found(arm):
    model, splits = built(arm)
    radius = recipe.arms[arm].on("noisy")["max_norm"]
    settings = recipe.at("cpu")
    fit_in_memory(
        model,
        *splits.train,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        verbose=0,
    )
    for layer in [layer for layer in model.layers if layer.weights][:2]:
        norms = np.linalg.norm(np.array(layer.kernel), axis=0)
        assert norms.max() <= radius * (1 + 1e-5)
        assert np.mean(norms > 0.999 * radius) > 0.5, layer.name


def test_noise_is_on_training_and_validation_labels_alone():
    data = recipe.at("cpu").data
    noisy, clean = data["noisy"](0), data["clean"](0)
    for part, share in (("train", 0.3), ("validation", 0.3), ("test", 0.0)):
        (x, y), (clean_x, clean_y) = getattr(noisy, part), getattr(clean, part)
        np.testing.assert_array_equal(x, clean_x)
        assert np.mean(y != clean_y) == pytest.approx(share)
