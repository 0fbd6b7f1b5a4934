import math

import pytest

from keras_regimen.recipes.harness.report.tolerance_plot import tolerance_plot


def test_dots_stand_where_the_figures_are(exact, drawn):
    found = tolerance_plot(exact())
    # 1e-4 to 1e-2 are two powers of ten, and 8 % of them more on each side.
    low, span = -4 - 0.16, 2 + 0.32

    def x(value):
        return 22 + (math.log10(value) - low) / span * (94 - 22)

    dots = [float(d.get("cx")[:-1]) for d in drawn(found, "pair")]
    assert dots == pytest.approx([x(v) for v in (1e-4, 1e-3, 1e-3, 1e-4)], 1e-3)
    (limit,) = drawn(found, "limit")
    assert float(limit.get("x1")[:-1]) == pytest.approx(x(1e-2), abs=0.01)
    rows = [float(d.get("cy")) for d in drawn(found, "pair")]
    assert rows == [37.0, 37.0, 67.0, 67.0]


def test_a_figure_of_zero_makes_the_axis_linear(exact, drawn):
    arms = exact()["arms"]
    arms[0]["values"] = [0.0, 0.01]
    arms[1]["values"] = [0.005, math.nan]
    found = tolerance_plot(exact(arms=arms))
    dots = [float(d.get("cx")[:-1]) for d in drawn(found, "pair")]
    # From 0 to 0.01, and 8 % of it more on each side; NaN has no place.
    assert dots == pytest.approx(
        [22 + 72 * s / 1.16 for s in (0.08, 1.08, 0.58)], 1e-3
    )


def test_without_a_figure_there_is_no_plot(exact, claim):
    arms = exact()["arms"]
    for arm in arms:
        arm["values"] = [math.nan]
    assert tolerance_plot(exact(arms=arms)) is None
    assert tolerance_plot(claim()) is None


def test_the_plot_says_what_it_shows(exact, drawn):
    root = drawn(tolerance_plot(exact()))
    assert root[0].text == "worst gap: every run against the tolerance"
    assert root[1].text.startswith("In all 4 runs")
