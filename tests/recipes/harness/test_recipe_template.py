import ast

import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness import recipe_template
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.harness.evidence import discovery
from keras_regimen.recipes.harness.new_recipe import TEMPLATE

recipe = recipe_template.recipe


def built(**settings):
    splits = recipe.at("cpu").data[""](0).to(recipe.takes, recipe.target)
    return recipe.build(HyperParameters(settings), Data(splits)), splits


def test_it_is_none_of_the_shipped_recipes():
    assert TEMPLATE.stem not in discovery.shipped()
    assert not discovery.is_shipped(TEMPLATE)


def test_it_imports_as_a_user_does():
    tree = ast.parse(TEMPLATE.read_text())
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert {node.level for node in imports} == {0}


@pytest.mark.parametrize("arm", recipe.arms)
def test_an_arm_trains_with_the_noise_that_it_is_about(arm):
    model, splits = built(**recipe.arms[arm].on())
    first_dense = next(n for n in model.layers if hasattr(n, "kernel"))
    inputs = keras.Model(model.inputs[0], first_dense.input)
    x = splits.train[0]
    added = np.array(inputs(x, training=True)) - x
    np.testing.assert_allclose(np.array(inputs(x, training=False)), x)
    # Of 300 x 64 draws the standard deviation errs by 0.5 %.
    stddev = recipe.arms[arm].on()["noise"]
    np.testing.assert_allclose(added.std(), stddev, rtol=0.03)


def test_its_arms_differ_in_one_thing():
    plain, treated = (arm.on() for arm in recipe.arms.values())
    assert plain.keys() == treated.keys()
    assert sum(plain[name] != treated[name] for name in plain) == 1
