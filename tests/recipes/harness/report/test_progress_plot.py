import math

import pytest

from keras_regimen.recipes.harness.report.progress_plot import progress_plot
from keras_regimen.recipes.harness.report.quantity import quantity
from keras_regimen.recipes.harness.report.searches import ArmSearch, Trial

TOLD = quantity("final val_error")


def plot(*scores):
    trials = [Trial({"rate": 0.1}, score, 1) for score in scores]
    return progress_plot(ArmSearch("new", "", ["rate"], trials, {}), TOLD)


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
