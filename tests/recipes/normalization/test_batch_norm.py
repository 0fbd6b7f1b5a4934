import keras
import pytest

from keras_regimen.custom_layers import UnbiasedBatchNormalization
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.normalization.batch_norm import recipe


@pytest.mark.parametrize(
    ("arm", "kind", "count"),
    [
        ("sigmoid", keras.layers.BatchNormalization, 0),
        ("relu", keras.layers.BatchNormalization, 0),
        ("relu_batch_norm", keras.layers.BatchNormalization, 6),
        ("relu_unbiased", UnbiasedBatchNormalization, 6),
    ],
)
def test_an_arm_normalizes_every_hidden_layer_or_none(arm, kind, count):
    splits = recipe.at("smoke").data[""](0).to("vector", "classes")
    hp = HyperParameters(recipe.arms[arm].on())
    model = recipe.build(hp, Data(splits))
    assert sum(type(layer) is kind for layer in model.layers) == count
    sigmoid = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Activation)
        and layer.get_config()["activation"] == "sigmoid"
    ]
    assert len(sigmoid) == (6 if arm.startswith("sigmoid") else 0)


def test_the_budget_is_800_updates_and_half_as_many_again_at_equal_cost():
    cpu = recipe.at("cpu")
    budgets = {
        name: cpu.steps_per_epoch * cpu.epochs(HyperParameters(arm.on()))
        for name, arm in recipe.arms.items()
    }
    assert budgets.pop("relu_longer") == 1200
    assert set(budgets.values()) == {800}
