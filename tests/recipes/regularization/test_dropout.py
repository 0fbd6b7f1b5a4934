import numpy as np
import pytest

from keras_regimen.recipes.harness.hyperparameters import HyperParameters
from keras_regimen.recipes.harness.splits import Data
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
def test_max_norm_is_active_for_most_units():
    """A constraint that binds nothing would be the plain arm again."""
    model, splits = built("max_norm")
    radius = recipe.arms["max_norm"].on("noisy")["max_norm"]
    model.fit(*splits.train, batch_size=50, epochs=10, verbose=0)
    first = next(layer for layer in model.layers if layer.weights)
    norms = np.linalg.norm(np.array(first.kernel), axis=0)
    assert norms.max() <= radius * (1 + 1e-5)
    assert np.mean(norms > 0.999 * radius) > 0.5


def test_noise_is_on_training_and_validation_labels_alone():
    data = recipe.at("cpu").data
    noisy, clean = data["noisy"](0), data["clean"](0)
    for part, share in (("train", 0.3), ("validation", 0.3), ("test", 0.0)):
        (x, y), (clean_x, clean_y) = getattr(noisy, part), getattr(clean, part)
        np.testing.assert_array_equal(x, clean_x)
        assert np.mean(y != clean_y) == pytest.approx(share)
