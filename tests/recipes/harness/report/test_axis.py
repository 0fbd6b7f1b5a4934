import math

import pytest

from keras_regimen.recipes.harness.report.axis import Axis, spanning


def test_places_are_proportional():
    axis = Axis(-1.0, 3.0, start=10.0, end=90.0)
    # A quarter of the way is 10 + 80 / 4.
    assert [axis.place(v) for v in (-1, 0, 3, 5)] == [10, 30, 90, 130]
    upward = Axis(0.0, 4.0, start=200.0, end=0.0)
    assert upward.place(1.0) == 150.0


def test_equal_ratios_are_equal_steps():
    axis = Axis(1e-4, 1.0, start=0.0, end=100.0, log=True)
    found = [axis.place(v) for v in (1e-4, 1e-3, 1e-1, 1.0)]
    assert found == pytest.approx([0, 25, 75, 100])


@pytest.mark.parametrize(
    ("low", "high", "log"),
    [(1, 1, False), (2, 1, False), (0, 1, True), (0, math.inf, False),
     (math.nan, 1, False)],
)  # fmt: skip
def test_no_axis_is_refused(low, high, log):
    with pytest.raises(ValueError, match=f"Received: low={low}, high={high}"):
        Axis(low, high, log=log)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-1.3, 2.2, [-1, 0, 1, 2]),
        (0, 1200, [0, 250, 500, 750, 1000]),
        (3e-7, 9e-7, [4e-7, 6e-7, 8e-7]),
    ],
)
def test_ticks_are_round_and_inside(low, high, ticks):
    assert Axis(low, high).ticks() == pytest.approx(ticks, abs=1e-12)


def test_ticks_of_ratios_are_powers_or_parts_of_them():
    assert Axis(0.5, 2e4, log=True).ticks() == [1, 10, 100, 1000, 10000]
    assert Axis(0.9, 12, log=True).ticks() == [1, 3, 10]
    assert Axis(1.5, 6, log=True).ticks() == [2, 5]


def test_a_span_has_a_margin_and_passes_over_what_is_no_number():
    axis = spanning([1.0, math.nan, 3.0, math.inf], margin=0.25)
    assert (axis.low, axis.high) == (0.5, 3.5)
    same = spanning([0.2, 0.2])
    assert same.low < 0.2 < same.high
    log = spanning([1.0, 100.0, -5.0], log=True, margin=0.5)
    assert (log.low, log.high) == pytest.approx((0.1, 1000.0))
    assert not spanning([-1.0, -2.0], log=True).log
    assert spanning([]).low < spanning([]).high
