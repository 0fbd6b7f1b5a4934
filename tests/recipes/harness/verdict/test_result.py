import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from keras_regimen.recipes.harness.contract.claim import Claim
from keras_regimen.recipes.harness.contract.metrics import value
from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.engine.plan import Plan
from keras_regimen.recipes.harness.verdict.comparison import compare
from keras_regimen.recipes.harness.verdict.result import Result

CLAIM = Claim(
    "It helps.",
    source="nobody",
    treatment="new",
    baseline="old",
    metric=value("x"),
    better="higher",
    smallest_effect=0.5,
    on="noisy",
)
SETTINGS = {"new": {"a": 1}, "old": {"a": 0}}
# By data, arm and seed.
FIGURES = {
    "noisy": {"new": [2.0, 4.0, 9.0], "old": [1.0, 2.0, None]},
    "clean": {"new": [7.0, None, None], "old": [1.0, 1.0, 1.0]},
}


def plan_of(claims=(CLAIM,), seeds=3, scale="cpu", figures=FIGURES):
    cells = tuple(
        Cell("demo", "demo.py", arm, seed, scale, data, SETTINGS[arm])
        for seed in range(seeds)
        for data in figures
        for arm in figures[data]
    )
    return Plan(
        recipe="demo",
        file="demo.py",
        summary="Demo: is new better than old?",
        scale=scale,
        seeds=seeds,
        claims=tuple(claims),
        arms={a: dict.fromkeys(figures, SETTINGS[a]) for a in SETTINGS},
        conditions=tuple(figures),
        cells=cells,
        space={},
        code="",
    )


def rows_of(plan, figures=FIGURES):
    rows = []
    for cell in plan.cells:
        x = figures[cell.data][cell.arm][cell.seed]
        outcome = {"status": "done", "values": {"x": x}}
        if x is None:
            outcome = {"status": "failed", "error": "ValueError: it broke"}
        cost = {"cpu_seconds": 2.0 + cell.seed}
        rows.append({**cell.row(), **outcome, "cost": cost})
    return rows


def result_of(plan=None, figures=FIGURES, rows=None):
    plan = plan or plan_of(figures=figures)
    rows = rows_of(plan, figures) if rows is None else rows
    comparisons = compare(plan, rows)
    return Result(plan, rows, comparisons, len(rows), Path("demo.jsonl"))


def test_an_arm_has_the_mean_and_spread_of_its_finished_seeds():
    arms = result_of().arms
    assert [(a["data"], a["arm"]) for a in arms] == [
        ("noisy", "new"),
        ("noisy", "old"),
        ("clean", "new"),
        ("clean", "old"),
    ]
    new, old, one, same = arms
    # (2 + 4 + 9) / 3 = 5; (9 + 1 + 16) / 2 = 13.
    assert new == {
        "arm": "new",
        "data": "noisy",
        "settings": {"a": 1},
        "seeds": 3,
        "failed": 0,
        "metric": "x",
        "mean": 5.0,
        "sd": pytest.approx(math.sqrt(13)),
        "cpu_seconds": 3.0,
    }
    # A failed seed is counted, and its cost is no finished seed's.
    assert (old["seeds"], old["failed"], old["cpu_seconds"]) == (2, 1, 2.5)
    assert (old["mean"], old["sd"]) == (1.5, pytest.approx(math.sqrt(0.5)))
    # One value has no spread; equal values have none to speak of.
    assert (one["mean"], one["failed"]) == (7.0, 2)
    assert math.isnan(one["sd"])
    assert (same["mean"], same["sd"]) == (1.0, 0.0)


def test_an_arm_of_which_nothing_is_finished_has_no_figure():
    (record, _, _, _) = result_of(rows=[]).arms
    assert (record["seeds"], record["failed"]) == (0, 0)
    for name in ("mean", "sd", "cpu_seconds"):
        assert math.isnan(record[name])


def test_a_diverged_run_leaves_its_arm_an_infinite_mean_and_no_spread():
    figures = {"": {"new": [1.0, math.inf], "old": [1.0, math.nan]}}
    claim = replace(CLAIM, on="")
    new, old = result_of(plan_of([claim], 2, figures=figures), figures).arms
    assert new["mean"] == math.inf
    assert math.isnan(old["mean"])
    assert math.isnan(new["sd"])
    assert math.isnan(old["sd"])


def test_a_metric_that_the_rows_lack_is_no_figure():
    plan = plan_of([replace(CLAIM, metric=value("y"))])
    record = result_of(plan).arms[0]
    assert (record["metric"], record["seeds"]) == ("y", 3)
    assert math.isnan(record["mean"])


def test_arms_chosen_without_their_rival_show_the_headlines_figure():
    plan = replace(plan_of([]), declared=(CLAIM,))
    result = result_of(plan)
    assert result.arms == result_of().arms
    assert not result.verdicts


def test_without_a_claim_there_is_no_figure_and_no_verdict():
    result = result_of(plan_of([]))
    assert result.arms[0]["metric"] is None
    assert math.isnan(result.arms[0]["mean"])
    assert result.verdicts == []
    assert result.to_json()["verdict"] is None


def test_failed_are_the_cells_that_never_succeeded_afterwards():
    plan = plan_of()
    rows = rows_of(plan)
    broken = [row for row in rows if row["status"] == "failed"]
    assert result_of(rows=rows).failed == broken
    (other, again, another) = broken
    mended = {**again, "status": "done", "values": {"x": 3.0}}
    retried = result_of(rows=[*rows, mended])
    assert retried.failed == [other, another]
    old = next(a for a in retried.arms if a["arm"] == "old")
    # (1 + 2 + 3) / 3.
    assert (old["mean"], old["seeds"], old["failed"]) == (2.0, 3, 0)


def test_json_is_valid_whatever_the_figures():
    def no_constant(name):
        raise AssertionError(name)

    found = result_of().to_json()
    text = json.dumps(found)
    assert json.loads(text, parse_constant=no_constant) == found
    assert list(found) == [
        "recipe",
        "scale",
        "verdict",
        "comparisons",
        "arms",
        "rows",
    ]
    assert (found["recipe"], found["scale"]) == ("demo", "cpu")
    assert (found["verdict"], len(found["rows"])) == ("failed", 12)
    assert found["arms"][2]["sd"] is None
    assert found["comparisons"][0]["arms"][1]["values"] == [1.0, 2.0, None]


def test_a_notebook_shows_table_words_and_plots():
    plan = replace(plan_of(), summary="Is 1 < 2 & 3?")
    shown = result_of(plan)._repr_html_()
    assert "Is 1 &lt; 2 &amp; 3?" in shown
    # Twelve cells; (2 + 4 + 9) / 3 = 5, and the root of 13.
    assert "<td>5 ± 3.61</td><td>3</td><td>0</td><td>3</td>" in shown
    assert "<strong>failed</strong>" in shown
    assert "noisy old, seed 2: ValueError: it broke" in shown
    assert shown.count("<svg") == 1


def test_a_notebook_says_how_far_a_run_is():
    plan = plan_of()
    shown = result_of(plan, rows=rows_of(plan)[:8])._repr_html_()
    assert "No verdict yet: 2 of 3 seeds have finished." in shown
