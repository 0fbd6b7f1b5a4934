import math
from types import SimpleNamespace

import pytest

from keras_regimen.recipes.harness import (
    at_best_epoch,
    final,
    gap,
    steps_to,
    value,
)
from keras_regimen.recipes.harness.report.metric_of_label import (
    metric_of_label,
)
from keras_regimen.recipes.harness.tuning.goal import goal_of

ROW = {
    "final": {"test_error": 0.25, "test_loss": 3.0, "train_loss": 1.0},
    "curves": {
        "loss": [5.0, 4.0],
        "val_loss": [1.0, 2.0],
        "test_error": [0.5, 0.25],
        "evaluations": [7, 9],
    },
    "values": {"members_error": 0.125},
    "steps_per_epoch": 8,
    "budget": 16,
}


@pytest.mark.parametrize(
    ("metric", "figure"),
    [
        (final("test_error"), 0.25),
        (final("loss"), 4.0),
        (at_best_epoch("test_error", monitor="val_loss"), 0.5),
        (steps_to("test_error", 0.3), 16.0),
        (steps_to("val_loss", 1.0, count="evaluations"), 7.0),
        (gap("loss"), 2.0),
        (value("members_error"), 0.125),
    ],
    ids=str,
)
def test_the_label_leads_back_to_the_metric(metric, figure):
    found = metric_of_label(metric.label)
    assert found.label == metric.label
    assert found.read(ROW) == metric.read(ROW) == figure
    assert (found.objective is None) == (metric.objective is None)
    if metric.objective is not None:
        assert found.objective.label == metric.objective.label


LOSSES = {"curves": {"val_loss": [0.5, 0.3, 0.4], "val_f1": [0.1, 0.7, 0.2]}}


@pytest.mark.parametrize(
    ("objective", "values", "score"),
    [
        (None, {}, 0.3),
        (None, {"val_loss": 0.9}, 0.9),
        (None, {"objective": -1.0, "val_loss": 0.9}, -1.0),
        ("max:val_f1", {}, 0.7),
        ("max:val_f1", {"val_f1": 0.9}, 0.9),
        ("max:val_auc", {"val_auc": 0.9}, 0.9),
        ("min:val_loss", {"val_f1": 0.9}, 0.3),
        ("min:val_loss", {"val_loss": 0.9}, 0.9),  # As KerasTuner has it.
    ],
)
def test_a_row_scores_what_it_scored_in_the_search(objective, values, score):
    plan = SimpleNamespace(declared=(), returns_score=False)
    goal = goal_of(plan, objective)
    row = {**LOSSES, "values": values}
    found = metric_of_label(goal.label)
    assert found.label == goal.label
    assert found.read(row) == goal.metric.read(row) == score


def test_a_curve_without_a_figure_has_no_highest():
    row = {"curves": {"val_f1": [float("nan")]}}
    assert math.isnan(metric_of_label("best val_f1").read(row))
