import math
from dataclasses import replace

import pytest

from keras_regimen.recipes.harness.report.progress_plot import progress_plot
from keras_regimen.recipes.harness.report.quantity import quantity
from keras_regimen.recipes.harness.report.searches import ArmSearch, Trial

TOLD = quantity("final val_error")


def plot(*scores, direction="min", **changes):
    trials = [Trial({"rate": 0.1}, score, 1) for score in scores]
    if changes:
        trials[-1] = replace(trials[-1], **changes)
    search = ArmSearch("new", "", ["rate"], trials, {}, direction)
    return progress_plot(search, TOLD)


def test_the_line_falls_where_a_trial_is_the_best_so_far(drawn):
    svg = plot(math.nan, 0.3, 0.4, 0.1)
    # Four places of 20 % each from 16 % on: the failed trial has no dot.
    assert [d.get("cx") for d in drawn(svg, "trial")] == ["46%", "66%", "86%"]
    # 12 % of a span of 0.3 above and below, over 100 pixels.
    heights = {
        score: pytest.approx(112 - 100 * (score - 0.064) / 0.372, abs=0.01)
        for score in (0.1, 0.3)
    }
    lines = [
        (line.get("x1"), line.get("x2"), line.get("y1"), line.get("y2"))
        for line in drawn(svg, "so-far")
    ]
    assert [(a, b) for a, b, _, _ in lines] == [
        ("36%", "56%"),
        ("56%", "76%"),
        ("76%", "76%"),
        ("76%", "96%"),
    ]
    ends = [(float(c), float(d)) for _, _, c, d in lines]
    assert ends == [
        (heights[0.3], heights[0.3]),
        (heights[0.3], heights[0.3]),
        (heights[0.3], heights[0.1]),
        (heights[0.1], heights[0.1]),
    ]


def test_without_a_score_there_is_no_plot():
    assert plot(math.nan, math.nan) is None


def test_one_trial_is_drawn_too(drawn):
    assert [d.get("cx") for d in drawn(plot(0.2), "trial")] == ["56%"]


def test_a_failed_trial_is_a_cross_and_an_ended_one_wins_nothing(drawn):
    svg = plot(math.nan, 0.3, 0.1, ended=True)
    (cross,) = drawn(svg, "missing")
    # A third of 80 % each, from 16 % on.
    assert cross.get("x") == "29.33%"
    assert cross[0].text == "trial 1: no score"
    (ended,) = drawn(svg, "ended")
    assert ended.get("cx") == "82.67%"
    assert {line.get("y1") for line in drawn(svg, "so-far")} == {
        drawn(svg, "trial")[0].get("cy")
    }


def test_the_line_rises_where_high_is_better(drawn):
    svg = plot(0.3, 0.2, 0.5, direction="max")
    heights = [float(d.get("cy")) for d in drawn(svg, "trial")]
    ends = [float(line.get("y2")) for line in drawn(svg, "so-far")]
    assert ends == [heights[0], heights[0], heights[2], heights[2]]


def test_trials_go_by_their_numbers_where_these_are_known(drawn):
    svg = plot(0.3, 0.2, number="01")
    assert [t.text for t in drawn(svg, "label")][-1] == "01"
    assert drawn(svg, "trial")[1][0].text == "trial 01: 20.0 %"
