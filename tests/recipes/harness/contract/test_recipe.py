import keras
import pytest

from keras_regimen.recipes.harness import Arm, Claim, Exact, Recipe, final
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.metrics import value
from keras_regimen.recipes.harness.contract.recipe import resolve
from keras_regimen.recipes.harness.evidence.discovery import load

CLAIM = Claim("It helps.", "nobody", "a", "b", final("test_error"), "lower", 1)


def declared(**changes):
    fields = {
        "claims": [CLAIM],
        "arms": {"a": Arm({"rate": 1}), "b": Arm({"rate": 2})},
        "build": lambda hp, data: None,
        "data": lambda seed: None,
    }
    return Recipe(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"build": None, "data": None}, "Received: neither"),
        ({"measure": lambda hp, seed: {}}, "Received: both"),
        ({"data": None}, "`build` and `data` go together"),
        ({"data": {}}, "at least one function"),
        ({"takes": "sound"}, "`takes` must be one of.*'sound'"),
        ({"target": "label"}, "`target` must be one of.*'label'"),
        ({"seeds": 0}, "seeds=0"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"steps_per_epoch": True}, "steps_per_epoch=True"),
        ({"claims": []}, "at least one claim"),
        ({"arms": {}}, "at least one arm"),
        ({"arms": {"a": Arm()}}, r"an arm \('a'\). Received: 'b'"),
        ({"scales": {"huge": {}}}, "`scales` must be one of.*'huge'"),
        ({"scales": {"gpu": {"arms": 1}}}, "Received: 'arms'"),
    ],
)
def test_a_contradiction_is_refused_where_it_stands(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        declared(**changes)


def test_a_claim_on_unknown_data_is_refused():
    claim = Exact("E.", "nobody", value("x"), at_most=1, on="dirty")
    with pytest.raises(ValueError, match="a data name.*'dirty'"):
        declared(claims=[claim], data={"clean": lambda seed: None})


def test_an_arm_does_not_set_a_name_twice():
    with pytest.raises(ValueError, match="rate in both"):
        Arm({"rate": 1}, tuned={"rate": 2})


def test_smoke_is_two_seeds_of_three_epochs_unless_said():
    hp = HyperParameters()
    smoke = declared(epochs=50).at("smoke")
    assert (smoke.seeds, resolve(smoke.epochs, hp)) == (2, 3)
    assert resolve(declared(epochs=2).at("smoke").epochs, hp) == 2
    said = declared(scales={"smoke": {"epochs": 7}}).at("smoke")
    assert (said.seeds, said.epochs) == (2, 7)


def test_larger_scales_have_more_seeds_and_the_same_fit():
    recipe = declared(epochs=7, seeds=10)
    cpu, gpu, full = (
        dict(vars(recipe.at(scale))) for scale in ("cpu", "gpu", "full")
    )
    assert [s.pop("seeds") for s in (cpu, gpu, full)] == [10, 20, 50]
    assert cpu == gpu == full


def test_a_scale_overrides_what_it_names_and_nothing_else():
    recipe = declared(epochs=5, scales={"gpu": {"epochs": 90, "seeds": 4}})
    assert (recipe.at("gpu").epochs, recipe.at("gpu").seeds) == (90, 4)
    assert recipe.at("gpu").batch_size == recipe.at("cpu").batch_size == 32
    assert recipe.at("full").epochs == 5


def test_settings_may_be_functions_of_hp_or_values_that_are_copied():
    hp = HyperParameters({"units": 8})
    assert resolve(lambda hp: hp.Int("units", 1, 9) * 2, hp) == 16
    stopper = keras.callbacks.EarlyStopping()
    first, second = (resolve([stopper], hp)[0] for _ in range(2))
    assert first is not second
    assert first is not stopper


def test_a_recipe_knows_its_file(fitted):
    assert load(fitted).file == fitted


def test_a_recipe_without_a_file_says_what_to_do():
    with pytest.raises(ValueError, match="save it as a script"):
        _ = declared().file
