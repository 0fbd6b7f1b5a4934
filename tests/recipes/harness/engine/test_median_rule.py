import math

import pytest

from keras_regimen.recipes.harness.engine.median_rule import (
    is_hopeless,
    medians,
)

NAN = math.nan


def test_medians_are_those_of_running_means_by_hand():
    curves = [[1, 3, 5], [2, 2], [9, 1, 2], [4, 4, 1], [5, 0], [6, 6, 6]]
    # Running means: 1 2 3; 2 2; 9 5 4; 4 4 3; 5 2.5; 6 6 6.
    # Sorted: 1 2 4 5 6 9 -> 4.5; 2 2 2.5 4 5 6 -> 3.25; then only four runs.
    assert medians(curves) == [4.5, 3.25]


def test_fewer_than_five_runs_say_nothing():
    assert medians([[1.0]] * 4) == []
    assert medians([[1.0]] * 4 + [[NAN]]) == []
    assert medians([]) == []


@pytest.mark.parametrize(
    ("curve", "better", "hopeless"),
    [
        ([9.0], "min", False),  # The first fifth of five epochs.
        ([9.0, 4.1], "min", True),
        ([9.0, 4.0], "min", False),  # As good as the median.
        ([3.0, 9.0], "min", False),  # Its best counts.
        ([0.0, 3.9], "max", True),
        ([5.0, 0.0], "max", False),
        ([NAN, NAN], "min", True),
        ([NAN, 3.0], "min", False),
        ([9.0] * 6, "min", False),  # Longer than any that finished.
    ],
)
def test_a_run_is_hopeless_if_its_best_is_worse_than_the_median(
    curve, better, hopeless
):
    assert is_hopeless(curve, [5.0, 4.0, 4.0, 4.0, 4.0], better) is hopeless
