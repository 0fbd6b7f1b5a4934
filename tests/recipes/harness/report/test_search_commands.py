import keras_tuner

from keras_regimen.recipes.harness.report.search_commands import (
    search_commands,
)
from keras_regimen.recipes.harness.report.search_dossier import read_search


def told(path, target=None):
    return dict(search_commands(read_search(path, target)))


def test_a_named_search_is_repeated_by_the_command(hunt, about):
    found = told(hunt(about=about(), fixed={"width": 8}, backend="jax"))
    assert found["Search it all anew, beside these rows"] == (
        "KERAS_BACKEND=jax regimen tune 'my models.py:Hunter' --data digits "
        "--tuner bayesian --trials 5 --seeds 2 --seed 7 --rerun 1 --epochs 3 "
        "--set width=8 --out regimen-again"
    )
    assert found["Then write this page of the new rows"] == (
        "regimen report 'my models.py:Hunter' --out regimen-again "
        "--to report-again"
    )


def test_only_what_differs_from_a_default_is_told(hunt, about):
    plain = about(tuner="random", trials=10, seeds=1, seed=0, called={})
    found = told(
        hunt([({"rate": 0.1}, [0.5], [0.5] * 3)], about=plain), "a:Hunter"
    )
    assert found["Search it all anew, beside these rows"] == (
        "regimen tune a:Hunter --data digits --out regimen-again"
    )


def test_objective_rule_scale_and_computation_are_told(hunt, about):
    changed = about(
        objective="best val_accuracy", direction="max", median_rule=True
    )
    computation = {"jit": False, "deterministic": True, "precision": "float16"}
    path = hunt(about=changed, scale="smoke", computation=computation)
    command = told(path)["Search it all anew, beside these rows"]
    assert (
        " --objective max:val_accuracy --median-rule --epochs 3 --scale smoke "
        "--no-jit --deterministic --precision float16 --out" in command
    )


def test_a_search_from_python_is_repeated_in_python(hunt, about):
    path = hunt(
        about=about(called={}), fixed={"width": 8}, computation={"jit": True}
    )
    (code,) = [c for what, c in told(path).items() if "Python" in what]
    compile(code, "page", "exec")
    assert code == (
        "from keras_regimen.recipes.harness import Computation, search\n\n"
        "found = search(\n"
        "    build,\n"
        "    data,\n"
        "    name='hunter',\n"
        "    tuner='bayesian',\n"
        "    trials=5,\n"
        "    seeds=2,\n"
        "    seed=7,\n"
        "    rerun=1,\n"
        "    settings={'width': 8},\n"
        "    computation=Computation(jit=True),\n"
        '    out="regimen-again",\n'
        ")"
    )


def test_the_best_model_is_built_by_what_is_told(hunt, about):
    code = told(hunt(about=about(), fixed={"width": 8}))["Build the best model"]
    asked = {}

    class Hunter:
        def build(self, hp):
            asked["rate"] = hp.Float("rate", 0.01, 1.0)
            asked["depth"] = hp.Int("depth", 2, 8, step=2)
            asked["width"] = hp.Int("width", 4, 16)

    exec(code, {"Hunter": Hunter, "keras_tuner": keras_tuner})  # noqa: S102
    assert asked == {"rate": 0.1, "depth": 4, "width": 8}


def test_without_a_success_there_is_no_best_model(hunt):
    path = hunt([({"rate": 0.1}, [0.1], [], {"status": "failed"})])
    assert "Build the best model" not in told(path)
