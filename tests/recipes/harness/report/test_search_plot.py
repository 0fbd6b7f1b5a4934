import pytest

from keras_regimen.recipes.harness.report.quantity import quantity
from keras_regimen.recipes.harness.report.search_plot import (
    score_axis,
    search_axes,
    search_plot,
)
from keras_regimen.recipes.harness.report.search_range import Range
from keras_regimen.recipes.harness.report.searches import ArmSearch, Trial

TOLD = quantity("final val_error")


def search(name, values, scores, **ranges):
    trials = [
        Trial({name: v}, s, 1) for v, s in zip(values, scores, strict=True)
    ]
    return ArmSearch("new", "", [name], trials, ranges)


def test_dots_stand_at_value_and_score(drawn):
    found = search(
        "rate", [0.2, 0.5, 0.9], [0.3, 0.1, 0.2], rate=Range(0.0, 1.0)
    )
    svg = search_plot(found, "rate", TOLD)
    (best,) = drawn(svg, "best")
    assert best.get("cx") == f"{16 + 80 * 0.5:g}%"
    # Scores span 0.2, and 12 % of it more on each side, over 100 pixels.
    assert float(best.get("cy")) == pytest.approx(
        112 - 100 * 0.12 / 1.24, abs=0.01
    )
    others = drawn(svg, "trial")
    assert [d.get("cx") for d in others] == ["32%", "88%"]
    assert others[0][0].text == "rate = 0.2: 30.0 %"


def test_a_declared_logarithmic_range_is_the_axis():
    found = search("l2", [1e-3], [0.5], l2=Range(1e-4, 1e-2, log=True))
    across, _ = search_axes(found, "l2", TOLD)
    assert across.place(1e-3) == pytest.approx((16 + 96) / 2)


def test_without_a_range_the_axis_holds_what_was_tried():
    across, _ = search_axes(search("x", [1.0, 3.0], [0.1, 0.2]), "x", TOLD)
    assert across.low < 1 < 3 < across.high
    assert not across.log
    across, _ = search_axes(search("x", [1e-4, 1.0], [0.1, 0.2]), "x", TOLD)
    assert across.log


def test_words_stand_side_by_side(drawn):
    found = search("kind", ["a", "b", "a"], [0.3, 0.1, 0.2])
    svg = search_plot(found, "kind", TOLD)
    (best,) = drawn(svg, "best")
    # The second of two choices: three quarters of the way.
    assert best.get("cx") == f"{16 + 80 * 0.75:g}%"
    labels = [e.text for e in drawn(svg, "label") if e.text in "ab"]
    assert labels == ["a", "b"]


def test_a_trial_without_a_score_is_left_out(drawn):
    found = search("rate", [0.1, 0.2], [float("nan"), 0.2])
    svg = search_plot(found, "rate", TOLD)
    assert len(drawn(svg, "trial")) == 0
    assert len(drawn(svg, "best")) == 1
    assert (
        search_plot(search("rate", [0.1], [float("nan")]), "rate", TOLD) is None
    )


def test_the_plot_says_which_won(drawn):
    found = search("rate", [0.1, 0.2], [0.3, 0.25])
    root = drawn(search_plot(found, "rate", TOLD))
    assert root[1].text == (
        "Score of 2 trials by rate; the best, 25.0 %, at 0.2."
    )


def test_counted_values_stand_side_by_side_tried_or_not(drawn):
    sizes = Range(8, 64, values=(8, 16, 64))
    found = search("size", [64, 8], [0.3, 0.1], size=sizes)
    svg = search_plot(found, "size", TOLD)
    labels = [e.text for e in drawn(svg, "label")][-3:]
    assert labels == ["8", "16", "64"]
    # The first of three, each a third of 80 % wide.
    assert drawn(svg, "best")[0].get("cx") == "29.33%"
    assert drawn(svg, "trial")[0].get("cx") == "82.67%"


def test_an_ended_trial_is_an_empty_dot(drawn):
    trials = [Trial({"a": 1.0}, 0.1, 1, ended=True), Trial({"a": 2.0}, 0.2, 1)]
    svg = search_plot(ArmSearch("new", "", ["a"], trials, {}), "a", TOLD)
    assert len(drawn(svg, "ended")) == len(drawn(svg, "best")) == 1


def test_a_loss_that_diverged_is_drawn_by_ratios():
    loss = quantity("final val_loss")
    assert score_axis([0.1, 100.0], loss).log
    assert not score_axis([0.1, 2.9], loss).log
    assert not score_axis([-0.1, 100.0], loss).log
    # A rate is at most 100 %.
    assert not score_axis([0.001, 0.9], TOLD).log
