"""Small recipes, written as a user would write them; the package's, built."""

import textwrap

import pytest

FITTED = '''
"""Tiny: does a second layer help?

Two clouds in the plane, a net of four units.
"""

import keras
import numpy as np

from keras_regimen.recipes.harness import (
    Arm, Claim, Recipe, Splits, at_best_epoch, final,
)


def clouds(seed):
    rng = np.random.default_rng(seed)

    def draw(rows):
        y = rng.integers(0, 2, rows)
        x = rng.normal(size=(rows, 2)) + 2.0 * y[:, None]
        return x.astype("float32"), y

    return Splits(draw(60), draw(30), draw(50))


def build(hp, data):
    depth = hp.Int("depth", 1, 3)
    rate = hp.Float("rate", 0.0, 0.9, default=0.0)
    learning_rate = hp.Float("learning_rate", 1e-3, 1.0, sampling="log",
                             default=0.1)
    model = keras.Sequential([keras.Input(data.input_shape)])
    for _ in range(depth):
        model.add(keras.layers.Dense(4, activation="relu"))
        model.add(keras.layers.Dropout(rate))
    model.add(keras.layers.Dense(data.num_classes, activation="softmax"))
    model.compile(keras.optimizers.SGD(learning_rate),
                  loss="sparse_categorical_crossentropy")
    return model


recipe = Recipe(
    claims=[
        Claim("A second layer helps.", source="nobody", treatment="deep",
              baseline="flat", metric=final("test_error"), better="lower",
              smallest_effect=0.05),
        Claim("A second layer lowers the loss.", source="nobody",
              treatment="deep", baseline="flat",
              metric=at_best_epoch("test_loss", monitor="val_loss"),
              better="lower", smallest_effect=0.05),
    ],
    arms={"flat": Arm({"depth": 1}), "deep": Arm({"depth": 2})},
    data=clouds,
    build=build,
    epochs=4,
    batch_size=16,
    seeds=3,
)

if __name__ == "__main__":
    recipe.main()
'''

MEASURED = '''
"""Dice: is a loaded one higher?"""

import numpy as np

from keras_regimen.recipes.harness import Arm, Claim, Recipe, value


def measure(hp, seed):
    bonus = hp.Float("bonus", 0.0, 9.0, default=0.0)
    fault = hp.Choice("fault", ["none", "raise", "crash", "nan"])
    if fault == "raise":
        raise ArithmeticError("the die fell off the table")
    if fault == "crash":
        import ctypes
        ctypes.string_at(0)
    rng = np.random.default_rng([seed, int(bonus)])
    figure = float(rng.integers(1, 7)) + bonus + rng.normal()
    return {"eyes": float("nan") if fault == "nan" else figure}


recipe = Recipe(
    claims=[
        Claim("The loaded die is higher.", source="folklore",
              treatment="loaded", baseline="fair", metric=value("eyes"),
              better="higher", smallest_effect=1.0),
    ],
    arms={"fair": Arm({"bonus": 0.0}), "loaded": Arm({"bonus": 5.0})},
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
'''


@pytest.fixture
def write(tmp_path):
    """Returns a function that writes a recipe's script and its path."""

    def write_recipe(text, name="tiny"):
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text).lstrip())
        return path

    return write_recipe


@pytest.fixture
def fitted(write):
    return write(FITTED, "clouds")


@pytest.fixture
def measured(write):
    return write(MEASURED, "dice")


@pytest.fixture(scope="module")
def splits(request):
    """The first seed's data of the recipe that a module tests."""
    recipe = request.module.recipe
    return recipe.at("cpu").data[""](0).to("vector", "classes")


@pytest.fixture
def built(request, splits):
    """Returns a function: an arm's model, as it is before training.

    What the arm does not fix has its default, or is given.
    """
    # Here, because this file is imported for tests that look at imports, too.
    from keras_regimen.recipes.harness.contract.hyperparameters import (
        HyperParameters,
    )
    from keras_regimen.recipes.harness.contract.splits import Data
    from keras_regimen.recipes.harness.engine.training import prepared

    recipe = request.module.recipe

    def build(arm, **settings):
        hp = HyperParameters({**recipe.arms[arm].fixed, **settings})
        return prepared(recipe, hp, Data(splits), seed=0)

    return build
