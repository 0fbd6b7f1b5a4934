import json
import math

import pytest

from keras_regimen.recipes.harness.evidence.evidence import Evidence
from keras_regimen.recipes.harness.refusal import RefusalError
from keras_regimen.recipes.harness.tuning import search_recipe

# A bowl: the score is known in closed form, and training takes no time.
BOWL = '''
"""Bowl: where is its bottom?"""

import keras_tuner

from keras_regimen.recipes.harness import Arm, Claim, Recipe, value


def measure(hp, seed):
    x = hp.Float("x", 0.0, 4.0)
    steps = hp.Choice("steps", [1, 2, 4, 8], ordered=True)
    tilt = hp.Float("tilt", -1.0, 1.0)
    fault = hp.Boolean("fault")
    if fault:
        raise ArithmeticError("no bottom")
    return {"depth": (x - 1.0) ** 2 + 1 / steps + tilt * x + 0.001 * (seed % 7)}


recipe = Recipe(
    claims=[
        Claim("A level bowl is deeper.", source="nobody", treatment="level",
              baseline="tilted", metric=value("depth"), better="lower",
              smallest_effect=0.1),
    ],
    arms={
        "level": Arm({"tilt": 0.0, "fault": False}, tuned={"x": 3.0}),
        "tilted": Arm({"tilt": 1.0, "fault": False}, tuned={"x": 3.0}),
    },
    measure=measure,
)
'''


@pytest.fixture
def bowl(write):
    return write(BOWL, "bowl")


def search(file, out, **options):
    return search_recipe(file, workers=0, out=out, **options)


def depth(values, tilt, seed):
    x, steps = values["x"], values["steps"]
    return (x - 1) ** 2 + 1 / steps + tilt * x + 0.001 * (seed % 7)


def test_every_execution_is_kept_and_scored_by_its_own_seed(bowl, tmp_path):
    found = search(bowl, tmp_path, trials=5, seeds=2, rerun=2)
    assert len(found.executions) == 2 * 5 * 2
    for execution in found.executions:
        tilt = {"level": 0.0, "tilted": 1.0}[execution["arm"]]
        score = depth(execution["hyperparameters"], tilt, execution["seed"])
        assert execution["score"] == pytest.approx(score, rel=1e-12)
    rows = Evidence(tmp_path / "bowl.search.jsonl").rows()
    assert len(rows) == 20 + 2 * 2


def test_the_best_is_judged_by_its_mean_and_run_again_on_fresh_seeds(
    bowl, tmp_path
):
    found = search(bowl, tmp_path, trials=6, seeds=3, rerun=2)
    for arm, tilt in (("level", 0.0), ("tilted", 1.0)):
        mine = [e for e in found.executions if e["arm"] == arm]
        means = {}
        for execution in mine:
            means.setdefault(execution["trial"], []).append(execution["score"])
        best = found.best[arm]
        lowest = min(sum(s) / 3 for s in means.values())
        assert best["score"] == pytest.approx(lowest)
        again = [depth(best["hyperparameters"], tilt, s) for s in (2000, 2001)]
        assert best["rerun"] == pytest.approx(sum(again) / 2)


def test_every_arm_has_the_same_budget_and_searches_what_is_tuned(
    bowl, tmp_path
):
    found = search(bowl, tmp_path, trials=4)
    tried = {
        arm: [e["hyperparameters"] for e in found.executions if e["arm"] == arm]
        for arm in ("level", "tilted")
    }
    assert len(tried["level"]) == len(tried["tilted"]) == 4
    assert all(set(h) == {"x", "steps"} for h in tried["level"])
    assert len({h["x"] for h in tried["level"]}) == 4


def test_a_grid_tries_every_point_once(bowl, tmp_path):
    found = search(
        bowl, tmp_path, tuner="grid", trials=50, settings={"x": 1.0}, rerun=0
    )
    mine = [e for e in found.executions if e["arm"] == "level"]
    assert sorted(e["hyperparameters"]["steps"] for e in mine) == [1, 2, 4, 8]
    assert found.best["level"]["hyperparameters"] == {"steps": 8}
    assert math.isnan(found.best["level"]["rerun"])


def test_settings_are_not_searched(bowl, tmp_path):
    found = search(bowl, tmp_path, trials=3, settings={"x": 2.0})
    assert all(set(e["hyperparameters"]) == {"steps"} for e in found.executions)


@pytest.mark.parametrize("tuner", ["random", "grid"])
def test_the_same_search_again_runs_nothing_and_finds_the_same(
    bowl, tmp_path, tuner
):
    first = search(bowl, tmp_path, trials=5, tuner=tuner)
    path = tmp_path / "bowl.search.jsonl"
    rows = path.read_bytes()
    second = search(bowl, tmp_path, trials=5, tuner=tuner)
    assert path.read_bytes() == rows
    assert json.dumps(second.to_json()) == json.dumps(first.to_json())


def test_a_search_that_was_stopped_ends_as_an_undisturbed_one(bowl, tmp_path):
    class Stop:
        left = 4

        def planned(self, plan, pending):
            pass

        def finished(self, row):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(bowl, tmp_path / "a", trials=6, seeds=2, reporter=Stop())
    resumed = search(bowl, tmp_path / "a", trials=6, seeds=2)
    whole = search(bowl, tmp_path / "b", trials=6, seeds=2)
    assert resumed.to_json() == whole.to_json()


def test_the_searchs_seed_is_its_own_zero_included(bowl, tmp_path):
    def points(seed, folder):
        found = search(bowl, tmp_path / folder, trials=3, seed=seed)
        return [e["hyperparameters"]["x"] for e in found.executions]

    assert points(0, "a") == points(0, "b")
    assert points(0, "a") != points(7, "c")


def test_a_search_of_failures_does_not_succeed(bowl, tmp_path):
    text = bowl.read_text().replace('"fault": False', '"fault": True')
    bowl.write_text(text)
    found = search(bowl, tmp_path, trials=4)
    assert not found.succeeded
    assert {e["status"] for e in found.executions} == {"failed"}
    assert found.best["level"]["hyperparameters"] == {}
    assert found.to_json()["best"]["level"]["rerun"] != 0


def test_a_best_point_on_an_edge_is_flagged(bowl, tmp_path):
    text = (
        bowl.read_text()
        .replace("(x - 1.0) ** 2", "-x")
        .replace("4.0)", "0.01)")
    )
    bowl.write_text(text.replace('"x": 3.0', '"x": 0.005'))
    found = search(
        bowl, tmp_path, tuner="grid", trials=60, settings={"x": 0.01}, rerun=0
    )
    assert found.edge_warnings == [
        f"{arm}: the best steps, 8, lies at an end of its range (1 to 8): "
        "widen it"
        for arm in ("level", "tilted")
    ]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tuner": "magic"}, "random, grid. Received: 'magic'"),
        ({"trials": 0}, "`trials` must be at least 1. Received: 0"),
        ({"seeds": 0}, "`seeds` must be at least 1"),
        ({"rerun": -1}, "`rerun` must be at least 0"),
        ({"objective": "test_error"}, "must not read test data"),
        ({"arms": ["flat"]}, "no arm named 'flat'"),
    ],
)
def test_a_bad_request_is_refused(bowl, tmp_path, options, sentence):
    with pytest.raises(RefusalError, match=sentence):
        search(bowl, tmp_path, **options)


@pytest.mark.slow
def test_a_fitted_recipe_is_tuned_on_validation_data(fitted, tmp_path):
    found = search(fitted, tmp_path, trials=2, rerun=1)
    assert found.objective == "final val_error"
    rows = {
        r["id"]: r for r in Evidence(tmp_path / "clouds.search.jsonl").rows()
    }
    scores = {
        (row["arm"], row["settings"]["learning_rate"]): row["final"][
            "val_error"
        ]
        for row in rows.values()
        if row["seed"] < 2000
    }
    for execution in found.executions:
        rate = execution["hyperparameters"]["learning_rate"]
        assert execution["score"] == scores[execution["arm"], rate]
