import math

import pytest

from keras_regimen.recipes.harness.contract.metrics import (
    at_best_epoch,
    final,
    gap,
    steps_to,
    value,
)

ROW = {
    "curves": {
        "loss": [3.0, 2.0, 1.0],
        "val_loss": [math.nan, 0.5, 0.7],
        "val_error": [0.4, 0.3, 0.1],
        "test_error": [0.5, 0.25, 0.2],
    },
    "final": {
        "train_loss": 0.25,
        "train_error": 0.0,
        "val_loss": 0.5,
        "test_loss": 1.0,
        "test_error": 0.125,
    },
    "values": {"largest": 7.0},
    "items": {"train": 10, "validation": 5, "test": 8},
    "steps_per_epoch": 20,
    "budget": 200,
}


def test_final_reads_what_was_evaluated_after_training():
    assert final("test_error").read(ROW) == 0.125
    assert final("val_loss").read(ROW) == 0.5


def test_final_of_a_bare_name_is_the_last_training_log():
    assert final("loss").read(ROW) == 1.0


def test_best_epoch_is_chosen_by_the_monitor_and_passes_over_nan():
    metric = at_best_epoch("test_error", monitor="val_loss")
    assert metric.read(ROW) == 0.25


def test_best_epoch_of_a_diverged_run_is_nan():
    curves = {"val_loss": [math.nan, math.inf], "test_error": [0.1, 0.2]}
    metric = at_best_epoch("test_error", monitor="val_loss")
    assert math.isnan(metric.read({"curves": curves}))


@pytest.mark.parametrize(
    ("threshold", "steps", "missed"),
    [(0.3, 40, False), (0.1, 60, False), (0.05, 200, True)],
)
def test_steps_count_updates_and_the_budget_if_never(threshold, steps, missed):
    metric = steps_to("val_error", threshold)
    assert metric.read(ROW) == steps
    assert metric.missed(ROW) is missed


def test_steps_can_count_gradient_evaluations():
    row = {**ROW, "curves": {**ROW["curves"], "evaluations": [5, 7, 9]}}
    assert steps_to("val_error", 0.3, count="evaluations").read(row) == 12


def test_gap_is_test_minus_train_both_evaluated():
    assert gap("loss").read(ROW) == 0.75
    assert gap("loss").objective.read(ROW) == 0.25


def test_value_reads_what_the_recipe_measured():
    assert value("largest").read(ROW) == 7.0


@pytest.mark.parametrize(
    ("metric", "resolution"),
    [
        (final("test_error"), 1 / 8),
        (final("val_error"), 1 / 5),
        (final("error"), 1 / 10),
        (final("test_loss"), 0),
        (at_best_epoch("test_error"), 1 / 8),
        (steps_to("val_error", 0.1), 20),
        (gap("error"), 1 / 8),
        (value("largest"), 0),
        (value("count", resolution=1.0), 1),
    ],
    ids=str,
)
def test_resolution_is_the_smallest_step(metric, resolution):
    assert metric.resolution(ROW) == resolution


@pytest.mark.parametrize(
    ("metric", "label"),
    [
        (final("test_error"), "final val_error"),
        (
            at_best_epoch("test_loss", monitor="val_error"),
            "val_loss at the best val_error",
        ),
        (steps_to("val_error", 0.1), "updates to val_error ≤ 0.1"),
        (steps_to("test_error", 0.1), "None"),
        (gap("loss"), "loss gap (validation - train)"),
    ],
    ids=str,
)
def test_a_search_never_reads_test_data(metric, label):
    assert str(metric.objective) == label


def test_choosing_by_test_data_is_refused():
    with pytest.raises(ValueError, match="never chosen by.*'test_loss'"):
        at_best_epoch("test_loss", monitor="test_loss")


def test_an_unknown_count_is_refused():
    with pytest.raises(ValueError, match="count='epochs'"):
        steps_to("val_error", 0.1, count="epochs")


def test_a_missing_figure_says_what_there_is():
    with pytest.raises(LookupError, match="'top5'.*'largest'"):
        value("top5").read(ROW)
