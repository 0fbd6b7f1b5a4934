import re

import pytest

from keras_regimen.recipes.harness.report.band import band
from keras_regimen.recipes.harness.report.curves_plot import (
    DASHES,
    Line,
    curves_axes,
    curves_plot,
)


def line(*curves, arm="plain", place=0, updates=10):
    return Line(arm, place, band(list(curves)), updates)


def path(svg, drawn, kind="middle", arm=0):
    return drawn(svg, kind)[arm].get("d")


def points(d):
    return [
        (float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", d)
    ]


def test_a_line_runs_through_the_medians(drawn):
    found = curves_plot("error", [line([0.4, 0.2, 0.1], [0.4, 0.2, 0.3])])
    # Across: 10, 20, 30 of 30 updates in a box of 1000. Up: 0 at the foot,
    # 194 lower than the top, which is the upper quartile of 0.4 and a tenth.
    top = 1.1 * 0.4
    assert points(path(found, drawn)) == [
        (333, pytest.approx(194 * (1 - 0.4 / top), abs=0.06)),
        (667, pytest.approx(194 * (1 - 0.2 / top), abs=0.06)),
        (1000, pytest.approx(194 * (1 - 0.2 / top), abs=0.06)),
    ]
    area = points(path(found, drawn, "spread"))
    # There along the upper quartiles, back along the lower ones.
    assert area[2] == (1000, pytest.approx(194 * (1 - 0.25 / top), abs=0.06))
    assert area[3] == (1000, pytest.approx(194 * (1 - 0.15 / top), abs=0.06))


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_a_gap_starts_the_line_anew(drawn, nothing):
    found = curves_plot("error", [line([0.3, 0.2, nothing, 0.2, 0.1])])
    starts = re.findall("M", path(found, drawn))
    assert len(starts) == 2
    assert len(points(path(found, drawn))) == 4


def test_one_epoch_alone_is_drawn_as_a_dot(drawn):
    found = curves_plot("error", [line([0.3, None, 0.2, 0.1])])
    assert path(found, drawn).count("h0") == 1


def test_arms_of_other_epochs_share_the_axis_of_updates(drawn):
    long = line([0.4, 0.3, 0.2, 0.1], arm="long", updates=5)
    short = line([0.4, 0.3], arm="short", place=1, updates=5)
    found = curves_plot("error", [long, short])
    by_arm = {g.get("data-arm"): g for g in drawn(found, "arm")}
    ends = {a: points(g[1].get("d"))[-1][0] for a, g in by_arm.items()}
    assert ends == {"long": 1000, "short": 500}


def test_arms_differ_in_colour_and_in_dashes(drawn):
    lines = [line([0.2, 0.1], arm=str(i), place=i) for i in range(len(DASHES))]
    found = curves_plot("error", lines)
    dashes = [m.get("stroke-dasharray") for m in drawn(found, "middle")]
    assert len(set(dashes)) == len(DASHES)
    classes = {g.get("class") for g in drawn(found, "arm")}
    assert len(classes) == len(DASHES)


def test_the_first_quarter_may_run_off_the_top():
    curve = [0.9, 0.8] + [0.1] * 18
    _, up = curves_axes("error", [line(curve)])
    # The fifth of twenty epochs ends the quarter.
    assert up.high == pytest.approx(1.1 * 0.1)
    # An arm that stops within it is shown whole.
    _, up = curves_axes("error", [line(curve), line([0.9, 0.5])])
    assert up.high == pytest.approx(1.1 * 0.5)


def test_a_loss_over_many_powers_of_ten_is_logarithmic():
    _, up = curves_axes("val_loss", [line([1.0, 0.1, 0.001])])
    assert up.log
    assert up.low == pytest.approx(0.001 / 1.3)
    assert not curves_axes("val_loss", [line([1.0, 0.1])])[1].log
    assert not curves_axes("val_error", [line([1.0, 0.1, 0.001])])[1].log
    assert not curves_axes("val_loss", [line([1.0, 0.1, 0.0])])[1].log


def test_a_curve_of_nothing_has_no_panel():
    assert curves_plot("error", [line([None, None])]) is None
    assert curves_plot("error", []) is None


def test_a_panel_says_where_the_lines_end(drawn):
    found = curves_plot("val_error", [line([0.3, 0.125])])
    root = drawn(found)
    assert root[0].text == "Validation error"
    assert root[1].text == "Over 20 updates; the lines end at plain 12.5 %."
