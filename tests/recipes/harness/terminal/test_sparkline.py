import math

import pytest

from keras_regimen.recipes.harness.terminal.sparkline import sparkline

NAN = math.nan


@pytest.mark.parametrize(
    ("values", "options", "text"),
    [
        # Eighths of the way from lowest to highest.
        ([0, 0.124, 0.126, 0.5, 0.874, 0.876, 1], {}, "▁▁▂▅▇██"),
        ([-3, -5, -4], {}, "█▁▅"),
        # A column is the mean of its steps: 10, 5, 2 and 1 of 8.
        ([12, 8, 6, 4, 2, 2, 1, 1], {"columns": 4}, "█▄▁▁"),
        # Seven steps in three columns: 2, 2 and 3 of them.
        ([8, 8, 4, 4, 0, 0, 0], {"columns": 3}, "█▅▁"),
        # Half as long as the axis.
        ([3, 2, 1], {"columns": 3, "steps": 6}, "█▁"),
        ([1, 2], {"steps": 4}, "▁█"),
        # Steps without a value are left out, and columns of none are empty.
        ([2, NAN, NAN, math.inf, 1, NAN], {"columns": 3}, "█ ▁"),
        ([1, 2, NAN, NAN], {}, "▁█"),
        ([0.5, 0.5, 0.5], {}, "▁▁▁"),
        ([7], {}, "▁"),
        ([], {}, ""),
        ([NAN, math.inf], {}, ""),
    ],
)
def test_a_curve_goes_from_its_lowest_to_its_highest(values, options, text):
    assert sparkline(values, **options) == text


def test_a_long_curve_takes_twelve_columns():
    # Five steps each: 0.59, 0.349, 0.206 and 0.122 of the first column.
    assert sparkline([0.9**e for e in range(60)]) == "█▅▃▂▁▁▁▁▁▁▁▁"
