import math

import pytest

from keras_regimen.recipes.harness.terminal.styles import (
    STYLES,
    number,
    rounded,
)
from keras_regimen.recipes.harness.verdict.verdict import judge


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0, "0"),
        (-0.12345, "-0.123"),
        (0.001, "0.001"),
        (0.00099, "9.90e-04"),
        (-2e-9, "-2.00e-09"),
        (12.345, "12.3"),
        (123, "123"),
        # Just below a thousand, `.3g` alone would say 1e+03.
        (999.4, "999"),
        (999.5, "1,000"),
        (-999.7, "-1,000"),
        (1000.4, "1,000"),
        (99_999.0, "99,999"),
        (100_000.0, "1.00e+05"),
        (1.5e12, "1.50e+12"),
        (math.nan, "-"),
        (math.inf, "-"),
        (None, "-"),
    ],
)
def test_a_number_has_three_digits_or_all_before_the_point(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        # Half a hundredth of a unit rounds to nothing, and what is above
        # keeps its digits.
        (0.0000499, 0.01, "0"),
        (-0.0000499, 0.01, "0"),
        (0.00005, 0.01, "5.00e-05"),
        (0.4, 100.0, "0"),
        (0.6, 100.0, "0.6"),
        (0.0123456, 0.01, "0.0123"),
        (None, 0.01, "-"),
        (math.nan, 0.01, "-"),
    ],
)
def test_what_is_far_below_the_unit_is_nothing(value, unit, text):
    assert rounded(value, unit) == text


def test_every_word_of_the_judge_has_its_style():
    differences = [
        [1.0, 1.2, 0.9, 1.1, 1.3, 0.8],
        [0.1, 0.12, 0.09, 0.11, 0.13, 0.08],
        [0.01, -0.02, 0.015, -0.01, 0.005, 0.0],
        [-1.0, -1.2, -0.9, -1.1, -1.3, -0.8],
        [1.0, -1.2, 0.9, -1.1, 1.3, -0.8],
        [1.0, math.nan],
    ]
    words = [judge(d, smallest_effect=0.5).word for d in differences]
    assert words == list(STYLES)
    assert len(set(words)) == 6
