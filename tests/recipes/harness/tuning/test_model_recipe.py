import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import keras_tuner
import pytest

from keras_regimen.recipes.harness.refusal import RefusalError
from keras_regimen.recipes.harness.tuning.model_code import module_hash
from keras_regimen.recipes.harness.tuning.model_recipe import (
    ModelRecipe,
    given_recipe,
    named_recipe,
)


class Recorded(keras_tuner.HyperModel):
    """Says what its `fit` was given."""

    def __init__(self, units=1):
        super().__init__()
        self.units = units

    def build(self, hp):
        return SimpleNamespace(units=hp)

    def fit(self, hp, model, *args, **kwargs):
        return args, kwargs


class Plain(keras_tuner.HyperModel):
    def build(self, hp):
        return hp


@pytest.mark.parametrize(
    ("given", "epochs", "received"),
    [
        # KerasTuner hands on what its caller gives; Hyperband gives epochs.
        ({}, 10, {}),
        ({}, 3, {"epochs": 3}),
        ({"epochs": 10}, 10, {"epochs": 10}),
        ({"batch_size": 8}, 10, {"batch_size": 8}),
        ({"batch_size": lambda hp: 2 * hp}, 10, {"batch_size": 32}),
    ],
)
def test_a_fit_of_ones_own_gets_what_the_caller_gives(given, epochs, received):
    recipe = ModelRecipe(Recorded(), **given)
    args, kwargs = recipe.own_fit(16, "model", "x", "y", epochs=epochs)
    assert (args, kwargs) == (("x", "y"), received)


def test_without_one_the_harness_fits():
    assert ModelRecipe(Plain()).own_fit is None
    assert ModelRecipe(Plain, epochs=7).at("cpu").epochs == 7
    assert ModelRecipe(Plain, epochs=7).at("smoke").epochs == 3
    assert ModelRecipe(lambda hp: hp).own_fit is None


def test_a_function_may_look_at_the_data():
    assert ModelRecipe(lambda hp: hp).build("hp", "data") == "hp"
    assert ModelRecipe(lambda hp, data: data).build("hp", "data") == "data"


@pytest.mark.parametrize("model", [3, "model", keras.layers.Dense])
def test_what_is_no_model_is_refused(model):
    with pytest.raises((RefusalError, TypeError)):
        ModelRecipe(model)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "regimen_test_models.py").write_text(
        "import keras_tuner\n\n\n"
        "class Mine(keras_tuner.HyperModel):\n"
        "    def build(self, hp):\n"
        "        return 'built'\n"
    )
    (tmp_path / "wanting.py").write_text("import no_such_module\n")
    yield str(tmp_path)
    sys.modules.pop("regimen_test_models", None)


@pytest.mark.parametrize(
    "place", ["regimen_test_models", "regimen_test_models.py"]
)
def test_a_hypermodel_is_found_in_a_module_or_a_file(project, place):
    recipe = named_recipe(f"{place}:Mine", project, 5, None)
    assert recipe.build(None, None) == "built"
    assert recipe.at("cpu").epochs == 5


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_such_module:Mine", "cannot find a module 'no_such_module'"),
        ("wanting:Mine", "cannot import 'wanting' .* named 'no_such_module'"),
        ("regimen_test_models:Other", "HyperModels in it: Mine"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(project, name, sentence):
    with pytest.raises(RefusalError, match=sentence):
        named_recipe(name, project, None, None)


def test_code_that_is_not_what_was_asked_for_is_refused(project):
    name = "regimen_test_models:Mine"
    code = module_hash(name, project)
    assert named_recipe(name, project, None, None, code).own_fit is None
    with pytest.raises(RefusalError, match="is not what it was when the"):
        named_recipe(name, project, None, None, "0" * 16)
    file = Path(project) / "regimen_test_models.py"
    file.write_text(file.read_text() + "\nEDITED = True\n")
    # The module is imported already, and keeps what it was.
    with pytest.raises(RefusalError, match=r"still runs regimen_test_models"):
        named_recipe(name, project, None, None, module_hash(name, project))
    files = [file]
    with pytest.raises(RefusalError, match=r"still runs regimen_test_models"):
        given_recipe(Plain, None, None, (), files)
