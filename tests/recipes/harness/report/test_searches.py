import math

import pytest

from keras_regimen.recipes.harness import tuning
from keras_regimen.recipes.harness.report.metric_of_label import (
    metric_of_label,
)
from keras_regimen.recipes.harness.report.search_range import Range
from keras_regimen.recipes.harness.report.searches import (
    FIRST_RERUN_SEED,
    declared_ranges,
    searches_of,
)
from keras_regimen.recipes.harness.tuning.space import edge_warnings

METRIC = metric_of_label("final val_error")


def row(rate, seed, score, status="done", arm="new", data="noisy"):
    return {
        "kind": "cell",
        "id": str((arm, rate, seed, data)),
        "arm": arm,
        "data": data,
        "seed": seed,
        "status": status,
        "settings": {"rate": rate, "kind": "x"},
        "final": {"val_error": score},
    }


def test_seeds_of_reruns_are_those_of_the_search():
    assert FIRST_RERUN_SEED == tuning.FIRST_RERUN_SEED
    assert tuning.FIRST_SEARCH_SEED < FIRST_RERUN_SEED


def test_a_trial_scores_the_mean_of_its_runs():
    rows = [
        row(0.1, 1000, 0.5),
        row(0.1, 1001, 0.7),
        row(0.9, 1000, 0.25),
        row(0.9, 1001, 0.75),
        row(0.9, 2000, 0.8),
        row(0.9, 2001, 0.6),
    ]
    (found,) = searches_of(rows, METRIC)
    assert (found.arm, found.data, found.names) == ("new", "noisy", ["rate"])
    assert [t.score for t in found.trials] == pytest.approx([0.6, 0.5])
    best = found.best
    assert best.settings == {"rate": 0.9}
    assert (best.runs, best.reruns) == (2, 2)
    assert best.rerun == pytest.approx(0.7)


def test_of_equal_scores_the_one_that_ran_again_was_chosen():
    rows = [row(0.1, 1000, 0.3), row(0.2, 1000, 0.3 + 1e-16)]
    assert searches_of(rows, METRIC)[0].best.settings == {"rate": 0.1}
    rows.append(row(0.2, 2000, 0.9))
    (found,) = searches_of(rows, METRIC)
    assert found.best.settings == {"rate": 0.2}


def test_a_trial_that_failed_or_lacks_runs_does_not_win():
    rows = [
        row(0.1, 1000, 0.1),
        row(0.1, 1001, 0.1, status="failed"),
        row(0.2, 1000, 0.05),
        row(0.3, 1000, 0.5),
        row(0.3, 1001, 0.5),
        row(0.4, 1000, math.nan),
        row(0.4, 1001, 0.0),
    ]
    (found,) = searches_of(rows, METRIC)
    assert found.best.settings == {"rate": 0.3}
    (lost,) = searches_of([row(0.1, 1000, 0.1, status="failed")], METRIC)
    assert lost.best is None
    assert lost.warnings == []


def test_arms_and_conditions_are_searched_apart_and_retries_count_once():
    rows = [
        row(0.1, 1000, 0.9, status="failed"),
        row(0.1, 1000, 0.2),
        row(0.1, 1000, 0.3, arm="old"),
        row(0.1, 1000, 0.4, data="clean"),
    ]
    found = searches_of(rows, METRIC)
    assert [(s.data, s.arm, s.best.score) for s in found] == [
        ("noisy", "new", 0.2),
        ("noisy", "old", 0.3),
        ("clean", "new", 0.4),
    ]
    assert found[0].names == []


def test_a_best_value_at_an_end_is_warned_of():
    rows = [row(rate, 1000, 1 - rate) for rate in (0.2, 0.5, 0.89)]
    (inside,) = searches_of(rows, METRIC, {"rate": Range(0.0, 1.0)})
    assert inside.warnings == []
    (found,) = searches_of(rows, METRIC, {"rate": Range(0.1, 0.9)})
    assert found.warnings == [
        "new: the best rate, 0.89, lies at an end of its range (0.1 to 0.9): "
        "widen it"
    ]


def test_what_is_said_is_what_the_search_itself_says():
    space = [
        {
            "kind": "Float",
            "name": "rate",
            "min_value": 0.1,
            "max_value": 0.9,
            "sampling": "linear",
        }
    ]
    rows = [row(rate, 1000, 1 - rate) for rate in (0.2, 0.89)]
    (found,) = searches_of(rows, METRIC, {"rate": Range(0.1, 0.9)})
    best = found.best.settings
    assert found.warnings == edge_warnings(space, best, "new")


def test_the_highest_score_wins_where_high_is_better():
    rows = [row(0.1, 1000, 0.3), row(0.2, 1000, 0.5), row(0.3, 1000, 0.4)]
    (found,) = searches_of(rows, METRIC, direction="max")
    assert found.best.settings == {"rate": 0.2}


def test_what_was_ended_early_does_not_win():
    ended = {**row(0.1, 1000, 0.1), "ended": 3}
    (found,) = searches_of([ended, row(0.2, 1000, 0.2)], METRIC)
    assert [t.ended for t in found.trials] == [True, False]
    assert found.best.settings == {"rate": 0.2}


def allowed(row_, **allowance):
    return {**row_, "id": f"{row_['id']} {allowance}", "allowance": allowance}


def test_of_hyperbands_trials_those_that_trained_longest_win():
    rows = [
        allowed(row(0.1, 1000, 0.1), epochs=1),
        allowed(row(0.1, 1000, 0.4), epochs=3),
        allowed(row(0.2, 1000, 0.3), epochs=3),
        allowed(row(0.2, 2000, 0.7), epochs=3),
    ]
    (found,) = searches_of(rows, METRIC)
    assert [(t.epochs, t.score) for t in found.trials] == [
        (1, 0.1),
        (3, 0.4),
        (3, 0.3),
    ]
    assert (found.best.score, found.best.rerun) == (0.3, 0.7)


def test_runs_on_fresh_seeds_belong_to_their_trial_under_a_median_rule():
    rows = [
        allowed(row(0.1, 1000, 0.1), medians=[0.5], watched="val_error"),
        row(0.1, 2000, 0.4),
    ]
    (found,) = searches_of(rows, METRIC)
    assert [(t.score, t.rerun) for t in found.trials] == [(0.1, 0.4)]


def test_the_journal_says_numbers_order_and_what_was_searched():
    rows = [row(0.1, 1000, 0.5), row(0.2, 1000, 0.4)]
    asked = [
        {"trial": "00", "settings": {"rate": 0.2}, "cells": [rows[1]["id"]]},
        {
            "trial": "01",
            "settings": {"rate": 0.1, "kind": "x"},
            "cells": [rows[0]["id"]],
        },
    ]
    (found,) = searches_of(rows, METRIC, asked=asked)
    assert found.names == ["rate", "kind"]
    assert [(t.number, t.settings) for t in found.trials] == [
        ("00", {"rate": 0.2, "kind": "x"}),
        ("01", {"rate": 0.1, "kind": "x"}),
    ]


def test_each_runs_score_is_kept_and_failures_are_counted():
    rows = [row(0.1, 1000, 0.5), row(0.1, 1001, 0.5, status="failed")]
    ((trial,),) = [s.trials for s in searches_of(rows, METRIC)]
    assert trial.failed == 1
    assert trial.scores == pytest.approx([0.5, math.nan], nan_ok=True)


def test_ranges_are_read_from_the_script(write):
    file = write(
        '''
        """Some."""
        FROM = 3

        def build(hp, data):
            hp.Float("rate", 0.1, max_value=0.7)
            hp.Int("units", 2, 64, sampling="log")
            hp.Float("twice", 0, 1)
            hp.Float("twice", 0, 2)
            hp.Int("computed", FROM, 9)
            hp.Choice("kind", ["a", "b"])
            hp.Choice("size", [16, 32, 64])
            hp.Choice("apart", [1, 2, 3], ordered=False)
            hp.Int("pair", 1, 2)
        '''
    )
    assert declared_ranges(file) == {
        "rate": Range(0.1, 0.7),
        "units": Range(2, 64, log=True),
        "size": Range(16, 64, values=(16, 32, 64)),
        "pair": Range(1, 2, values=(1, 2)),
    }
