import math

import pytest

from keras_regimen.recipes.harness.report.paired_plot import (
    differences,
    interval_plot,
    paired_axis,
    paired_plot,
)


def place(element, name):
    text = element.get(name)
    assert text.endswith("%")
    return float(text[:-1])


def test_differences_have_the_sign_of_the_claim(claim):
    lower = differences(claim())
    assert lower == pytest.approx([0.04, 0.03, 0.05])
    assert differences(claim(better="higher")) == pytest.approx(
        [-x for x in lower]
    )


def test_dots_stand_where_the_figures_are(claim, drawn):
    found = paired_plot(claim())
    # Shown are -1.2 x 0.01 to the interval's 0.06, and 4 % more each side.
    low, high = -0.012 - 0.04 * 0.072, 0.06 + 0.04 * 0.072

    def x(value):
        return 14 + (value - low) / (high - low) * (96 - 14)

    dots = drawn(found, "pair")
    assert [place(dot, "cx") for dot in dots] == pytest.approx(
        [x(0.04), x(0.03), x(0.05)], abs=0.01
    )
    assert [float(dot.get("cy")) for dot in dots] == [34.0, 50.0, 66.0]
    (zero,) = drawn(found, "zero")
    assert place(zero, "x1") == pytest.approx(x(0), abs=0.01)
    (band,) = drawn(found, "negligible")
    assert place(band, "x") == pytest.approx(x(-0.01), abs=0.01)
    assert place(band, "width") == pytest.approx(x(0.02) - x(0), abs=0.01)
    (interval,) = drawn(found, "interval")
    ends = [place(interval, "x1"), place(interval, "x2")]
    assert ends == pytest.approx([x(0.02), x(0.06)], abs=0.01)
    (mean,) = drawn(found, "mean")
    assert place(mean, "cx") == pytest.approx(x(0.04), abs=0.01)


def test_a_pair_without_a_value_keeps_its_row(claim, drawn):
    arms = claim()["arms"]
    arms[0]["values"][1] = math.nan
    arms[1]["values"][2] = None
    broken = claim(arms=arms, verdict="failed", mean=None, low=None, high=None)
    found = paired_plot(broken)
    assert len(drawn(found, "pair")) == 1
    assert [t.text for t in drawn(found, "missing")] == ["no value"] * 2
    assert drawn(found, "mean") == drawn(found, "interval") == []


def test_one_pair_has_a_mean_and_no_interval(claim, drawn):
    arms = claim()["arms"]
    for each in arms:
        del each["values"][1:]
    found = paired_plot(claim(arms=arms, n=1, low=None, high=None, sd=None))
    assert len(drawn(found, "pair")) == len(drawn(found, "mean")) == 1
    assert drawn(found, "interval") == []


def test_a_claim_without_runs_has_no_plot(claim, exact):
    assert paired_plot(claim(arms=[])) is None
    assert paired_plot(exact()) is None


def test_the_plot_says_what_it_shows(claim, drawn):
    root = drawn(paired_plot(claim()))
    assert root[0].text == "Paired differences: loaded against fair"
    assert "lowered the test error by 4 points" in root[1].text
    titles = [
        t.text for dot in drawn(paired_plot(claim()), "pair") for t in dot
    ]
    assert titles == [
        "seed 0: 4 points",
        "seed 1: 3 points",
        "seed 2: 5 points",
    ]


def test_names_of_users_are_escaped(claim, drawn):
    arms = claim()["arms"]
    arms[0]["arm"] = "<script>alert(1)</script>"
    found = paired_plot(claim(arms=arms))
    assert "<script" not in found
    assert "<script>alert(1)</script>" in drawn(found)[0].text


def test_many_pairs_stay_on_a_page(claim, drawn):
    arms = claim()["arms"]
    for each in arms:
        each["values"] = each["values"] * 30
    found = paired_plot(claim(arms=arms, n=90))
    assert len(drawn(found, "pair")) == 90
    assert float(drawn(found).get("height")) < 800


def test_the_band_is_on_the_axis_where_all_differences_are_tiny(claim):
    axis = paired_axis(claim(smallest_effect=1.0))
    assert axis.low < -1 < 1 < axis.high


def test_the_small_plot_has_zero_in_the_middle(claim, drawn):
    found = interval_plot(claim())
    # It reaches 1.08 x 0.06 to both sides.
    (mean,) = drawn(found, "mean")
    expected = 50 + 50 * 0.04 / (1.08 * 0.06)
    assert place(mean, "cx") == pytest.approx(expected, abs=0.01)
    (zero,) = drawn(found, "zero")
    assert zero.get("x1") == "50%"
    assert interval_plot(claim(low=None)) is None
