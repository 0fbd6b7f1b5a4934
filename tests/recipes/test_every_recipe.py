"""What each recipe of the package keeps, at smoke scale."""

import logging
import math

import numpy as np
import pytest

from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.engine.engine import Engine
from keras_regimen.recipes.harness.engine.plan import make_plan
from keras_regimen.recipes.harness.engine.training import run_cell
from keras_regimen.recipes.harness.evidence import discovery
from keras_regimen.recipes.harness.evidence.code_hash import code_hash
from keras_regimen.recipes.harness.evidence.evidence import evidence_of
from keras_regimen.recipes.harness.tuning import (
    FIRST_RERUN_SEED,
    FIRST_SEARCH_SEED,
)

RECIPES = discovery.shipped()
# CI has time for one recipe of each topic and for each hook. That the present
# code of all the others ran, their evidence shows, and `test_readme.py` asks.
SAMPLE = ("backpropagation", "batch_norm", "dropout", "net2net", "pruning")
SAMPLED = [
    pytest.param(name, marks=() if name in SAMPLE else pytest.mark.release)
    for name in RECIPES
]


@pytest.fixture(scope="module", params=SAMPLED, ids=str)
def plan(request):
    return make_plan(RECIPES[request.param], code="", scale="smoke")


@pytest.fixture(scope="module")
def rows(plan):
    """The first seed on the first data condition, of a few arms.

    Those of the first and of the last claim: that the same code of all arms
    finishes is what their evidence shows, and `test_readme.py` asks for it.
    """
    first = plan.conditions[0]
    arms = {next(iter(plan.arms)), *plan.claims[0].arms, *plan.claims[-1].arms}
    cells = [
        c
        for c in plan.cells
        if c.seed == 0 and c.data == first and c.arm in arms
    ]
    with Engine(workers=0) as engine:
        return {row["arm"]: row for row in engine.run(cells)}


@pytest.mark.slow
def test_arms_finish(rows):
    failed = {a: r["error"] for a, r in rows.items() if r["status"] != "done"}
    assert failed == {}


@pytest.mark.slow
def test_an_arm_learns_more_than_the_most_frequent_class(rows):
    losses = [r["curves"]["loss"] for r in rows.values() if "curves" in r]
    if not losses:
        pytest.skip("nothing is fitted")
    assert any(loss[-1] < loss[0] for loss in losses)
    best = min(
        r["final"]["test_error"] / r["chance"]
        for r in rows.values()
        if "final" in r
    )
    assert best < 0.8


@pytest.mark.parametrize("name", RECIPES)
def test_larger_scales_have_more_seeds(name):
    recipe = discovery.load(RECIPES[name])
    seeds = [recipe.at(s).seeds for s in ("smoke", "cpu", "gpu", "full")]
    assert seeds == sorted(set(seeds))


@pytest.mark.slow
@pytest.mark.release
@pytest.mark.parametrize("scale", ["gpu", "full"])
@pytest.mark.parametrize("name", RECIPES)
def test_larger_scales_can_be_planned(name, scale, caplog):
    caplog.set_level(logging.DEBUG, make_plan.__module__)
    larger = make_plan(RECIPES[name], code="", scale=scale)
    # An arm that cannot be built becomes a failed row, and no refusal.
    assert not caplog.records
    assert {cell.scale for cell in larger.cells} == {scale}
    assert larger.as_declared


def numbers(row):
    return row.get("curves") or row["values"]


@pytest.mark.slow
def test_same_seed_same_result_and_other_seed_other_result(plan, rows):
    arm = next(iter(plan.arms))
    again, other = (
        run_cell(Cell(**{**vars(plan.cells[0]), "arm": arm, "seed": seed}))
        for seed in (0, 1)
    )
    assert numbers(again) == numbers(rows[arm])
    assert numbers(other) != numbers(again)


@pytest.mark.slow
def test_the_metrics_of_their_claims_can_be_read(plan, rows):
    for claim in (plan.claims[0], plan.claims[-1]):
        for arm in claim.arms or rows:
            assert math.isfinite(claim.metric.read(rows[arm]))


@pytest.mark.parametrize("name", RECIPES)
def test_tuned_settings_are_the_best_of_the_search_evidence(name):
    """What a script calls tuned is what its search found, arm by arm."""
    recipe = discovery.load(RECIPES[name])
    code = code_hash(RECIPES[name])
    trials = {}
    rows, _ = evidence_of(RECIPES[name], suffix=".search").read("cell")
    for row in rows:
        searched = FIRST_SEARCH_SEED <= row["seed"] < FIRST_RERUN_SEED
        if "computation" in row or "allowance" in row:
            continue
        if row["code"] == code and row["scale"] == "cpu" and searched:
            place = trials.setdefault((row["arm"], row["data"]), {})
            settings = tuple(sorted(row["settings"].items()))
            place.setdefault(settings, []).append(row)
    tuned = {
        (name, condition): {**arm.tuned, **arm.tuned_on.get(condition, {})}
        for name, arm in recipe.arms.items()
        for condition in recipe.at("cpu").data
    }
    assert set(trials) == {place for place, values in tuned.items() if values}
    # The same budget for every arm, in trials and in runs of each.
    budgets = {
        (len(by_settings), len(rows))
        for by_settings in trials.values()
        for rows in by_settings.values()
    }
    assert len(budgets) <= 1
    objective = (
        next(claim.metric.objective for claim in recipe.claims if recipe.build)
        if trials
        else None
    )
    for (arm, condition), by_settings in trials.items():
        scores = {
            settings: np.mean([objective.read(row) for row in rows])
            for settings, rows in by_settings.items()
            if all(row["status"] == "done" for row in rows)
        }
        lowest = min(scores.values())
        declared = recipe.arms[arm].on(condition)
        assert any(
            score == lowest and _same(dict(settings), declared)
            for settings, score in scores.items()
        ), f"{arm} on {condition} is not what the search found"


def _same(found, declared):
    """Whether settings are equal, to the three digits that scripts hold."""
    return found.keys() == declared.keys() and all(
        value == pytest.approx(declared[name], rel=5e-3)
        if isinstance(value, float)
        else value == declared[name]
        for name, value in found.items()
    )
