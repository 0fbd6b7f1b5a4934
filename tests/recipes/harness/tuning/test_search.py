import json
import math
import os
import random
import subprocess
import sys
import time

import pytest

from keras_regimen.recipes.harness.evidence.evidence import Evidence
from keras_regimen.recipes.harness.refusal import RefusalError
from keras_regimen.recipes.harness.tuning import search_recipe
from keras_regimen.recipes.harness.tuning.reporter import Silent

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


def cells(path):
    rows, _ = Evidence(path).read("cell")
    return rows


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
    rows, _ = Evidence(tmp_path / "bowl.search.jsonl").read("cell")
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


class Listening(Silent):
    """Keeps what is told."""

    def __init__(self):
        self.running, self.left, self.news = [], [], []

    def expected(self, runs, work):
        self.left.append(runs)

    def started(self, cell):
        self.running.append(cell.id)

    def heard(self, execution, news):
        assert execution["status"] == "running"
        self.news.append((execution, news))

    def finished(self, row):
        self.running.remove(row["id"])


def test_each_run_is_heard_of_as_it_trains(fitted, tmp_path):
    told = Listening()
    options = {"trials": 2, "seeds": 2, "rerun": 1, "arms": ["flat"]}
    found = search(fitted, tmp_path, reporter=told, **options)
    # Four runs, and one of the winner on a fresh seed.
    assert told.left == [5, 4, 3, 2, 1, 0]
    assert told.running == []
    rows = {row["id"]: row for row in cells(found.path)}
    begun = [news.cell for _, news in told.news if not news.epoch]
    assert sorted(begun) == sorted(rows)
    trained = [(e, news) for e, news in told.news if news.epoch]
    assert {news.cell for _, news in trained} == set(rows)
    best = found.best["flat"]["hyperparameters"]
    known = {(e["trial"], e["seed"]): e for e in found.executions}
    for execution, news in trained:
        # The headline claim's: the error after training.
        curve = rows[news.cell]["curves"]["val_error"]
        assert execution["score"] == news.score
        assert news.score == pytest.approx(curve[news.epoch - 1], rel=1e-6)
        assert news.epochs == 4
        same = known.get((execution["trial"], execution["seed"]))
        values = same["hyperparameters"] if same else best
        assert execution["hyperparameters"] == values
    assert trained[-1][0]["seed"] == 2000


class Stop(Silent):
    """Interrupts a search after so many rows."""

    def __init__(self, rows):
        self.left = rows

    def finished(self, row):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("tuner", ["random", "grid", "bayesian"])
def test_a_search_that_was_stopped_ends_as_an_undisturbed_one(
    bowl, tmp_path, tuner
):
    options = {"trials": 8, "seeds": 2, "tuner": tuner}
    for rows in (3, 9):
        with pytest.raises(KeyboardInterrupt):
            search(bowl, tmp_path / "a", reporter=Stop(rows), **options)
    resumed = search(bowl, tmp_path / "a", **options)
    whole = search(bowl, tmp_path / "b", **options)
    assert resumed.to_json() == whole.to_json()
    ids = [r["id"] for r in cells(tmp_path / "a" / "bowl.search.jsonl")]
    assert len(ids) == len(set(ids))


def test_a_journal_of_other_asks_is_refused(bowl, tmp_path):
    search(bowl, tmp_path, trials=3)
    path = tmp_path / "bowl.search.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    next(r for r in lines if r["kind"] == "trial")["settings"]["x"] += 0.1
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RefusalError, match="cannot go on from its journal"):
        search(bowl, tmp_path, trials=3)


@pytest.mark.release
def test_hyperband_is_halved_by_what_runs_scored(fitted, tmp_path):
    """9 epochs: brackets of 9, 3, 1 and 5, 2 and 3 trials, also if stopped."""
    text = fitted.read_text().replace("    epochs=4,\n", "    epochs=9,\n")
    fitted.write_text(text)
    options = {"tuner": "hyperband", "trials": 1, "rerun": 1, "arms": ["flat"]}
    with pytest.raises(KeyboardInterrupt):
        search(fitted, tmp_path / "a", reporter=Stop(11), **options)
    found = search(fitted, tmp_path / "a", **options)
    epochs = [e["epochs"] for e in found.executions]
    assert sorted(epochs) == [1] * 9 + [3] * 8 + [9] * 6
    scores = {e["trial"]: e["score"] for e in found.executions}
    longest = [e for e in found.executions if e["epochs"] == 9]
    assert found.best["flat"]["score"] == min(e["score"] for e in longest)
    whole = search(fitted, tmp_path / "b", **options)
    assert whole.to_json() == found.to_json()
    # The states of all but the best few are gone.
    states = list((tmp_path / "a" / "clouds.search.states").iterdir())
    assert len(states) == 3
    assert len(scores) == 23


@pytest.mark.release
def test_the_median_rule_ends_runs_and_says_so(fitted, tmp_path):
    options = {"trials": 14, "rerun": 0, "arms": ["flat"]}
    plain = search(fitted, tmp_path / "a", **options)
    found = search(fitted, tmp_path / "b", median_rule=True, **options)
    ended = [e for e in found.executions if e["status"] == "ended"]
    assert ended
    rows = {row["id"]: row for row in cells(tmp_path / "b/clouds.search.jsonl")}
    for row in rows.values():
        if "ended" in row:
            at = row["ended"]["epoch"]
            assert row["epochs"] == at < 4
            assert row["ended"]["median"] == row["allowance"]["medians"][at - 1]
            assert min(row["curves"]["val_loss"]) > row["ended"]["median"]
    # Random points do not depend on what was told; only hopeless runs differ.
    by_trial = {e["trial"]: e for e in plain.executions}
    for execution in found.executions:
        same = by_trial[execution["trial"]]
        assert execution["hyperparameters"] == same["hyperparameters"]
        if execution["status"] == "done":
            assert execution["score"] == same["score"]
    for name in ("hyperparameters", "score"):
        assert found.best["flat"][name] == plain.best["flat"][name]


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
    ((error, count),) = found.failures.items()
    assert count == len(found.executions) == 8
    assert error.startswith("ArithmeticError: ")
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
        (
            {"tuner": "magic"},
            "random, grid, bayesian, hyperband.*'magic'",
        ),
        ({"tuner": "hyperband"}, "trains in a way of its own"),
        ({"tuner": "hyperband", "median_rule": True}, "in its own way"),
        ({"median_rule": True}, "depth has none: give `objective`"),
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
    found_rows, _ = Evidence(tmp_path / "clouds.search.jsonl").read("cell")
    rows = {row["id"]: row for row in found_rows}
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


@pytest.mark.release
@pytest.mark.parametrize("tuner", ["random", "grid", "bayesian", "hyperband"])
def test_killed_at_random_each_trial_is_finished_exactly_once(
    bowl, fitted, tmp_path, tuner
):
    """Workers and the parent die by SIGKILL; the same command goes on."""
    psutil = pytest.importorskip("psutil")
    kills = int(os.environ.get("REGIMEN_KILLS", "4"))
    chance = random.Random(tuner)
    if tuner == "hyperband":
        file, arm = fitted, "flat"
        text = file.read_text().replace("    epochs=4,\n", "    epochs=9,\n")
    else:
        file, arm = bowl, "level"
        slow = "def measure(hp, seed):\n    import time; time.sleep(0.8)"
        text = file.read_text().replace("def measure(hp, seed):", slow)
    file.write_text(text)
    options = f"--tuner {tuner} --trials 40 --rerun 0 --arm {arm} --workers 2"
    command = [sys.executable, "-m", "keras_regimen.recipes.cli", "tune"]
    command += [str(file), *options.split(), "--out", str(tmp_path)]
    path = tmp_path / f"{file.stem}.search.jsonl"

    def start():
        return subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    killed = {"parent": 0, "worker": 0}
    process = start()
    while sum(killed.values()) < kills and process.poll() is None:
        time.sleep(chance.uniform(0.5, 6.0))
        try:
            children = psutil.Process(process.pid).children(recursive=True)
            workers = [c for c in children if "spawn_main" in str(c.cmdline())]
        except psutil.Error:
            continue  # One of them has just ended.
        if chance.random() < 0.6:
            if not workers:
                continue
            chance.choice(workers).kill()
            killed["worker"] += 1
        else:
            process.kill()
            process.wait()
            killed["parent"] += 1
            process = start()
    assert process.wait(timeout=300) == 0
    print(tuner, killed)
    rows = cells(path)
    asked, _ = Evidence(path).read("trial")
    planned = 46 if tuner == "hyperband" else 40
    assert len(asked) == len({row["trial"] for row in asked}) == planned
    assert {row["status"] for row in rows} == {"done"}
    finished = [row["id"] for row in rows]
    assert len(finished) == len(set(finished))
    assert set(finished) == {cell for row in asked for cell in row["cells"]}
    if tuner in ("random", "grid"):
        whole = search(
            file,
            tmp_path / "whole",
            tuner=tuner,
            trials=40,
            rerun=0,
            arms=[arm],
        )
        asked_whole, _ = Evidence(whole.path).read("trial")
        assert [row["settings"] for row in asked] == [
            row["settings"] for row in asked_whole
        ]
