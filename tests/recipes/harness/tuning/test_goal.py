import math
from types import SimpleNamespace

import pytest

from keras_regimen.recipes.harness.contract.claim import Claim
from keras_regimen.recipes.harness.contract.metrics import final, value
from keras_regimen.recipes.harness.refusal import RefusalError
from keras_regimen.recipes.harness.tuning.goal import goal_of


def plan(*metrics, better="lower", returns_score=False):
    claims = [
        Claim(
            "It helps.",
            source="nobody",
            treatment="a",
            baseline="b",
            metric=metric,
            better=better,
            smallest_effect=0.1,
        )
        for metric in metrics
    ]
    return SimpleNamespace(declared=claims, returns_score=returns_score)


ROW = {
    "status": "done",
    "curves": {
        "val_loss": [0.5, 0.2, 0.4],
        "val_accuracy": [0.6, 0.9, 0.8],
        "val_f1": [0.1, 0.3, 0.2],
    },
    "final": {"val_error": 0.25, "test_error": 0.5},
    "values": {},
}


def test_by_default_it_is_the_headline_metric_on_validation_data():
    goal = goal_of(plan(final("test_error")), None)
    assert (goal.label, goal.curve) == ("final val_error", "val_error")
    assert goal.score(ROW) == 0.25


def test_a_higher_metric_is_searched_for_upwards():
    goal = goal_of(plan(value("depth"), better="higher"), None)
    assert goal.direction == "max"


@pytest.mark.parametrize(
    ("name", "score", "direction"),
    [
        ("val_loss", 0.2, "min"),
        ("val_accuracy", 0.9, "max"),
        ("max:val_f1", 0.3, "max"),
        ("min:val_f1", 0.1, "min"),
    ],
)
def test_a_named_figure_counts_at_its_best_epoch(name, score, direction):
    goal = goal_of(plan(), name)
    assert goal.score(ROW) == score
    assert goal.direction == direction
    assert goal.curve == name.rpartition(":")[2]


def test_a_models_own_score_comes_before_its_curve():
    goal = goal_of(plan(), None)
    assert goal.score(ROW) == 0.2
    assert goal.score({**ROW, "values": {"objective": 0.7}}) == 0.7
    assert goal.score({**ROW, "values": {"val_loss": 0.6}}) == 0.6


def test_the_score_so_far_is_that_of_a_row_that_is_not_finished():
    row = {"curves": ROW["curves"], "final": {"val_error": 0.5}}
    assert goal_of(plan(), None).so_far(row) == 0.2
    assert goal_of(plan(final("test_error")), None).so_far(row) == 0.5
    assert goal_of(plan(), "max:val_f1").so_far(row) == 0.3
    # What comes after training only: nothing, rather than another figure.
    assert math.isnan(goal_of(plan(value("depth")), None).so_far(row))
    assert math.isnan(goal_of(plan(returns_score=True), None).so_far(row))


def test_what_failed_or_says_nothing_has_no_score():
    goal = goal_of(plan(), "val_loss")
    assert math.isnan(goal.score({**ROW, "status": "failed"}))
    assert math.isnan(goal.score({**ROW, "curves": {}}))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("test_loss", "must not read test data"),
        ("val_f1", "min:val_f1 or max:val_f1"),
        ("best:val_f1", "Received: objective='best:val_f1'"),
    ],
)
def test_a_figure_that_cannot_be_searched_for_is_refused(name, sentence):
    with pytest.raises(RefusalError, match=sentence):
        goal_of(plan(), name)
