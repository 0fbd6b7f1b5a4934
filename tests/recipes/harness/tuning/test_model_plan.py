from functools import partial
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.splits import Splits
from keras_regimen.recipes.harness.engine.computation import Computation
from keras_regimen.recipes.harness.refusal import RefusalError
from keras_regimen.recipes.harness.tuning.model_plan import make_model_plan
from keras_regimen.recipes.harness.tuning.model_recipe import ModelRecipe


class Net(keras_tuner.HyperModel):
    def build(self, hp):
        model = keras.Sequential([keras.Input((2,))])
        for place in range(hp.Int("layers", 0, 1)):
            model.add(keras.layers.Dense(hp.Int(f"units_{place}", 1, 2)))
        model.add(keras.layers.Dense(1))
        model.compile(keras.optimizers.SGD(hp.Float("rate", 0.0, 1.0)), "mse")
        return model

    def fit(self, hp, model, x, y, **kwargs):
        seen.append((len(x), kwargs["epochs"]))
        size = hp.Choice("batch_size", [1, 2])
        if hp.Boolean("decay"):
            hp.Float("decay_rate", 0.5, 0.9)
        return model.fit(x, y, batch_size=size, **kwargs)


seen = []


def source(seed):
    x = np.random.default_rng(seed).normal(size=(40, 2))
    part = (x, x[:, :1])
    return Splits(part, part, part)


def plan(model=Net, computation=None, **settings):
    return make_model_plan(
        partial(ModelRecipe, model),
        "net",
        "0123",
        scale="cpu",
        data="mine",
        source=source,
        folder=Path(),
        data_dir=Path(),
        settings=settings,
        computation=computation or Computation(),
    )


def test_what_fit_asks_for_is_searched_too_found_on_few_rows():
    seen.clear()
    space = plan(layers=1).space["model"]
    assert [config["name"] for config in space] == [
        "units_0",
        "rate",
        "batch_size",
        "decay",
        "decay_rate",
    ]
    assert [c["config"] for c in space[-1]["conditions"]] == [
        {"name": "decay", "values": [True]}
    ]
    # Once, and for each value of what `fit` alone asks for.
    assert set(seen) == {(32, 1)}
    assert len(seen) == 1 + 2 + 2


def test_settings_are_no_longer_searched_and_stand_in_the_cells():
    made = plan(layers=0, batch_size=2, decay=False)
    assert [config["name"] for config in made.space["model"]] == ["rate"]
    (cell,) = made.cells
    assert cell.settings == {"layers": 0, "batch_size": 2, "decay": False}
    assert made.epochs == 10


def test_a_setting_that_nothing_asks_for_is_refused():
    with pytest.raises(RefusalError, match="no hyperparameter named 'widht'"):
        plan(widht=3)


def test_a_model_that_fails_with_its_defaults_is_refused_with_the_reason():
    def broken(hp):
        raise ArithmeticError("out of paper")

    with pytest.raises(RefusalError, match="ArithmeticError: out of paper"):
        plan(lambda hp: broken(hp))


def test_a_fit_of_ones_own_is_not_shared_out_over_devices():
    with pytest.raises(RefusalError, match="brings its own `fit`"):
        plan(computation=Computation("mirrored", devices=2))


def test_outputs_that_do_not_fit_the_targets_are_refused_before_the_search():
    def wrong(hp):
        # As of an image that nobody flattened.
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        model.add(keras.layers.Reshape((2, 1)))
        model.compile(loss="sparse_categorical_crossentropy")
        return model

    with pytest.raises(RefusalError, match="built and fitted with its default"):
        plan(wrong)


def test_a_batch_that_does_not_divide_by_the_devices_is_refused(monkeypatch):
    monkeypatch.setattr(
        "keras_regimen.recipes.harness.tuning.model_plan.prepared",
        lambda *arguments, **options: keras.Sequential(),
    )
    with pytest.raises(RefusalError, match="batch of 32 does not divide by 3"):
        plan(keras_tuner.HyperModel, Computation("data_parallel", devices=3))
