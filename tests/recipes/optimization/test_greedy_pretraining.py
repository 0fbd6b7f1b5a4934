import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.optimization.greedy_pretraining import (
    LAYERS,
    UPDATES,
    recipe,
)


@pytest.fixture(scope="module")
def data():
    return Data(recipe.at("smoke").data[""](0).to("vector", "classes"))


class Trainings:
    """A `fit` that notes what it was asked for."""

    def __init__(self):
        self.models = []
        self.options = []

    def __call__(self, model, *arrays, **options):
        self.models.append(model)
        self.options.append(options)


def trained(arm, data):
    keras.utils.set_random_seed(0)
    hp = HyperParameters(recipe.arms[arm].fixed)
    fit = Trainings()
    model = recipe.build(hp, data)
    return recipe.train(hp, model, data, fit), fit


@pytest.mark.parametrize("arm", list(recipe.arms))
def test_an_arm_has_800_updates_in_stages_or_all_at_once(arm, data):
    model, fit = trained(arm, data)
    updates = [UPDATES * options["epochs"] for options in fit.options]
    assert sum(updates) == 800
    assert updates == ([60] * 5 + [500] if "pretrained" in arm else [800])
    assert fit.models[-1] is model
    units = [
        layer.units
        for layer in model.layers
        if isinstance(layer, keras.layers.Dense)
    ]
    assert units == [100] * LAYERS + [10]
    rates = {float(m.optimizer.learning_rate) for m in fit.models}
    assert len(rates) == 1


def test_a_stage_trains_one_hidden_layer_and_the_one_above_it(data):
    _, fit = trained("sigmoid_pretrained", data)
    for number, stage in enumerate(fit.models[:-1]):
        shapes = [tuple(w.shape) for w in stage.trainable_weights]
        first = (100 if number else 64, 100)
        assert shapes == [first, (100,), (100, 10), (10,)]
        assert len(stage.weights) == 2 * (number + 2)


@pytest.mark.parametrize(
    ("unit", "low", "high"),
    [("sigmoid", 0.0, 0.05), ("relu_batch_norm", 0.5, 10.0)],
)
def test_little_of_the_input_is_left_above_deep_sigmoid_units(
    unit, low, high, data
):
    """Why one learns and the other does not: how rows differ at the top."""
    keras.utils.set_random_seed(0)
    model = recipe.build(HyperParameters({"unit": unit}), data)
    features = keras.Model(model.input, model.layers[-2].output)
    x = data.train[0][:200]
    top = keras.ops.convert_to_numpy(features(x, training=True))
    spread = np.std(top, axis=0).mean() / np.std(x, axis=0).mean()
    assert low < spread < high
