import math

import numpy as np
import pytest

from keras_regimen.recipes.harness.report.band import Point, band


def test_line_and_band_are_the_quartiles():
    curves = np.random.default_rng(0).normal(size=(7, 4)).tolist()
    found = band(curves)
    low, middle, high = np.quantile(curves, [0.25, 0.5, 0.75], axis=0)
    for epoch, point in enumerate(found):
        assert point == pytest.approx(
            (middle[epoch], low[epoch], high[epoch], 7)
        )


def test_one_seed_is_its_own_band():
    assert band([[3.0, 2.0]]) == [Point(3, 3, 3, 1), Point(2, 2, 2, 1)]


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf])
def test_no_number_leaves_a_gap(nothing):
    first, gap, last = band([[3.0, nothing, 1.0]])
    assert gap is None
    assert (first.middle, last.middle) == (3.0, 1.0)


def test_a_line_goes_on_while_half_of_the_seeds_do():
    found = band([[1.0, 1.0, 1.0], [3.0, 3.0], [5.0, math.nan], [7.0]])
    assert found[0] == (4.0, 2.5, 5.5, 4)
    assert found[1] == (2.0, 1.5, 2.5, 2)
    assert found[2] is None


def test_no_curves_are_no_points():
    assert band([]) == []
    assert band([[]]) == []
