import math
from dataclasses import replace

import pytest

from keras_regimen.recipes.harness.contract.claim import Claim, Exact
from keras_regimen.recipes.harness.contract.metrics import (
    final,
    steps_to,
    value,
)
from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.engine.plan import Plan
from keras_regimen.recipes.harness.verdict.comparison import compare
from keras_regimen.recipes.harness.verdict.verdict import judge

CLAIM = Claim(
    "It helps.",
    source="nobody",
    treatment="new",
    baseline="old",
    metric=value("x"),
    better="higher",
    smallest_effect=0.5,
    on="",
)
NEW = [2.1, 2.4, 1.9, 2.2, 2.6, 2.0, 2.3, 2.5, 1.8, 2.2]
OLD = [1.0, 1.2, 1.1, 0.9, 1.3, 1.0, 1.2, 1.1, 0.9, 1.3]


def plan_of(claims, seeds=10, scale="cpu", arms=None):
    arms = arms or {"new": {"a": 1}, "old": {"a": 0}}
    cells = tuple(
        Cell("demo", "demo.py", arm, seed, scale, "", given)
        for seed in range(seeds)
        for arm, given in arms.items()
    )
    return Plan(
        recipe="demo",
        file="demo.py",
        summary="",
        scale=scale,
        seeds=seeds,
        claims=tuple(claims),
        arms={name: {"": given} for name, given in arms.items()},
        conditions=("",),
        cells=cells,
        space={},
        code="",
    )


def rows_of(plan, values, **extra):
    rows = []
    for cell in plan.cells:
        x = values[cell.arm][cell.seed]
        fields = {"status": "done", "values": {"x": x}}
        if x is None:
            fields = {"status": "failed", "error": "it broke"}
        cost = {"cpu_seconds": 2.0 if cell.arm == "new" else 1.0}
        rows.append({**cell.row(), **fields, "cost": cost, **extra})
    return rows


def test_word_and_figures_are_those_of_the_paired_differences():
    plan = plan_of([CLAIM])
    (comparison,) = compare(plan, rows_of(plan, {"new": NEW, "old": OLD}))
    differences = [n - o for n, o in zip(NEW, OLD, strict=True)]
    assert comparison.verdict == judge(differences, 0.5)
    assert comparison.word == "reproduced"
    assert comparison.improvement == 1.0
    assert comparison.cost == {"cpu_seconds": 2.0}


def test_a_lower_metric_is_a_gain_when_lower_is_better():
    claim = replace(CLAIM, better="lower")
    plan = plan_of([claim])
    (comparison,) = compare(plan, rows_of(plan, {"new": NEW, "old": OLD}))
    assert comparison.word == "opposite"


def test_claims_and_looks_share_the_error():
    plan = plan_of([CLAIM, replace(CLAIM, statement="Again.")])
    rows = rows_of(plan, {"new": NEW, "old": OLD})
    differences = [n - o for n, o in zip(NEW, OLD, strict=True)]
    first, _ = compare(plan, rows, look=0)
    third, _ = compare(plan, rows, look=2)
    assert first.verdict == judge(differences, 0.5, parts=2)
    assert third.verdict == judge(differences, 0.5, parts=8)


def test_no_word_before_all_seeds_are_in():
    plan = plan_of([CLAIM])
    rows = rows_of(plan, {"new": NEW, "old": OLD})[:-3]
    (comparison,) = compare(plan, rows)
    assert (comparison.word, comparison.done, comparison.seeds) == (None, 8, 10)


def test_no_word_at_smoke_scale():
    plan = plan_of([CLAIM], scale="smoke")
    (comparison,) = compare(plan, rows_of(plan, {"new": NEW, "old": OLD}))
    assert comparison.word is None


def test_a_failed_run_fails_the_comparison():
    plan = plan_of([CLAIM])
    broken = [*NEW[:-1], None]
    (comparison,) = compare(plan, rows_of(plan, {"new": broken, "old": OLD}))
    assert comparison.word == "failed"
    assert "1 of 20 runs failed" in comparison.verdict.reason


def test_a_failed_or_diverged_run_scores_the_declared_worst():
    plan = plan_of([replace(CLAIM, worst=0.0)])
    broken = [*NEW[:-2], math.nan, None]
    (comparison,) = compare(plan, rows_of(plan, {"new": broken, "old": OLD}))
    worst = [n - o for n, o in zip([*NEW[:-2], 0, 0], OLD, strict=True)]
    assert comparison.verdict == judge(worst, 0.5)


def test_a_diverged_run_without_a_worst_is_a_failure():
    plan = plan_of([CLAIM])
    broken = [*NEW[:-1], math.nan]
    (comparison,) = compare(plan, rows_of(plan, {"new": broken, "old": OLD}))
    assert comparison.word == "failed"
    assert "1 of 10 pairs" in comparison.verdict.reason


def test_arms_with_the_same_settings_are_no_comparison():
    plan = plan_of([CLAIM], arms={"new": {"a": 1}, "old": {"a": 1}})
    (comparison,) = compare(plan, rows_of(plan, {"new": NEW, "old": OLD}))
    assert "same settings" in comparison.verdict.reason


def test_a_metric_that_no_row_has_is_told():
    plan = plan_of([replace(CLAIM, metric=value("y"))])
    (comparison,) = compare(plan, rows_of(plan, {"new": NEW, "old": OLD}))
    assert comparison.word == "failed"
    assert "no 'y' among the values" in comparison.verdict.reason


def test_a_cell_that_was_retried_counts_by_its_success():
    plan = plan_of([CLAIM])
    broken = rows_of(plan, {"new": [*NEW[:-1], None], "old": OLD})
    again = rows_of(plan, {"new": NEW, "old": OLD})
    (comparison,) = compare(plan, [*again, *broken])
    assert comparison.word == "reproduced"


def test_resolution_of_the_metric_reaches_the_judge():
    # Equal differences of an error rate are no failure, unlike those of a
    # continuous figure: the test set is finite.
    claim = replace(CLAIM, metric=final("test_error"), better="lower")
    plan = plan_of([claim])
    rows = [
        {**row, "final": {"test_error": 0.1 if row["arm"] == "new" else 0.9}}
        for row in rows_of(
            plan,
            {"new": NEW, "old": OLD},
            items={"train": 100, "test": 50},
        )
    ]
    (comparison,) = compare(plan, rows)
    assert comparison.verdict == judge([0.8] * 10, 0.5, resolution=1 / 50)


def test_runs_that_learned_nothing_are_counted():
    claim = replace(CLAIM, metric=steps_to("val_error", 0.1), better="lower")
    plan = plan_of([claim])
    rows = []
    for row in rows_of(plan, {"new": NEW, "old": OLD}):
        learned = row["arm"] == "new" or row["seed"] > 2
        rows.append(
            {
                **row,
                "curves": {"val_error": [0.5, 0.05 if learned else 0.5]},
                "final": {"test_error": 0.05 if learned else 0.89},
                "chance": 0.9,
                "steps_per_epoch": 10,
                "budget": 20 + row["seed"],
            }
        )
    (comparison,) = compare(plan, rows)
    new, old = comparison.sides
    assert (new.missed, new.collapsed) == (0, 0)
    assert (old.missed, old.collapsed) == (3, 3)
    assert old.values[:4] == (20, 21, 22, 20)


@pytest.mark.parametrize(
    ("values", "word"),
    [([1e-9, 2e-9], "reproduced"), ([1e-9, 2e-3], "opposite")],
)
def test_exact_holds_in_every_seed_or_not_at_all(values, word):
    claim = Exact("Equal.", "nobody", value("x"), at_most=1e-6, on="")
    plan = plan_of([claim], seeds=2, arms={"only": {}})
    (comparison,) = compare(plan, rows_of(plan, {"only": values}))
    assert comparison.word == word
    assert f"{max(values):.3g}" in comparison.verdict.reason


def test_new_data_line_needs_redrawn_splits():
    plan = plan_of([CLAIM])
    values = {"new": NEW, "old": OLD}
    items = {"items": {"train": 100, "test": 300}}
    same = [{**r, "fingerprint": "f", **items} for r in rows_of(plan, values)]
    drawn = [{**r, "fingerprint": r["seed"]} for r in same]
    assert compare(plan, same)[0].new_data is None
    (comparison,) = compare(plan, drawn)
    low, high = comparison.new_data
    # Nadeau and Bengio: the variance factor is 1/n + n_test/n_train.
    wider = math.sqrt((1 / 10 + 3) / (1 / 10))
    verdict = judge([n - o for n, o in zip(NEW, OLD, strict=True)], 0.5)
    t_half = 2.2621571628 * verdict.sd / math.sqrt(10)
    assert (high - low) / 2 == pytest.approx(t_half * wider, rel=1e-6)
