import pytest

from keras_regimen.recipes.harness.evidence import discovery
from keras_regimen.recipes.harness.refusal import RefusalError


def test_shipped_recipes_are_found_by_name():
    assert discovery.find("dropout").parent.name == "regularization"
    assert {"dropout", "early_stopping", "batch_norm", "backpropagation"} <= (
        discovery.shipped().keys()
    )


def test_a_wrong_name_gets_the_nearest():
    with pytest.raises(RefusalError, match="'dropuot'; did you mean dropout"):
        discovery.find("dropuot")


def test_a_missing_file_is_named():
    with pytest.raises(RefusalError, match=r"no recipe file 'nowhere\.py'"):
        discovery.find("nowhere.py")


def test_a_users_recipe_finds_the_helper_beside_it(write):
    write("SEEDS = 7", "helper_beside")
    path = write(
        """
        from helper_beside import SEEDS
        from keras_regimen.recipes.harness import Arm, Exact, Recipe, value

        recipe = Recipe(
            claims=[Exact("E.", "n", value("x"), at_most=1)],
            arms={"a": Arm()},
            measure=lambda hp, seed: {"x": 0},
            seeds=SEEDS,
        )
        """
    )
    assert discovery.load(path).at("cpu").seeds == 7


def test_an_edited_file_is_imported_anew(measured):
    assert discovery.load(measured).at("cpu").seeds == 10
    text = measured.read_text()
    measured.write_text(
        text.replace("measure=measure", "measure=measure,seeds=4")
    )
    assert discovery.load(measured).at("cpu").seeds == 4


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1", "declares no recipe"),
        ("recipe = 'soup'", "declares no recipe"),
        ("recipe = (", "never closed"),
        (
            "from keras_regimen.recipes.harness import Recipe\n"
            "recipe = Recipe(claims=[], arms={}, seeds=0, measure=print)",
            "`seeds` must be a whole number.*seeds=0",
        ),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_by_its_name(write, text, sentence):
    path = write(text, "bad")
    with pytest.raises(RefusalError, match=rf"bad\.py.*{sentence}"):
        discovery.load(path)
