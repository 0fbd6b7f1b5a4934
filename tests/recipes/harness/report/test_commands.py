from keras_regimen.recipes.harness.evidence import discovery
from keras_regimen.recipes.harness.report.commands import commands
from keras_regimen.recipes.harness.report.dossier import read_dossier


def told(file, out=None):
    return [command for _, command in commands(read_dossier(file, out))]


def test_the_run_is_repeated_with_its_seeds_beside_the_rows(dice):
    dice.judged()
    assert told(dice.file) == [
        "regimen run dice.py --seeds 3 --out regimen-again",
        "regimen report dice.py --out regimen-again --to report-again",
    ]


def test_scale_and_backend_are_those_of_the_rows(dice, verdict):
    dice.append(
        *dice.cells(scale="gpu", backend="jax"),
        verdict(dice.code, scale="gpu"),
    )
    assert told(dice.file)[0] == (
        "KERAS_BACKEND=jax regimen run dice.py --seeds 3 --scale gpu "
        "--out regimen-again"
    )


def test_data_of_the_users_own_is_named(dice, verdict):
    own = "my wine.csv:kind"
    arms = {arm: {own: {}} for arm in ("loaded", "fair")}
    dice.append(verdict(dice.code, data=[own], arms=arms, as_declared=False))
    assert "--data 'my wine.csv:kind' --out" in told(dice.file)[0]


def test_the_search_is_repeated_with_its_budget(dice):
    dice.judged().searched()
    assert told(dice.file)[2] == (
        "regimen tune dice.py --trials 3 --seeds 2 --out regimen-again"
    )


def test_a_shipped_recipe_is_called_by_its_name(tmp_path):
    file = discovery.find("dropout")
    assert told(file, tmp_path)[0] == (
        "regimen run dropout --out regimen-again"
    )
