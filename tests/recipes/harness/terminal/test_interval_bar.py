from dataclasses import replace

import pytest

from keras_regimen.recipes.harness.contract.claim import Claim, Exact
from keras_regimen.recipes.harness.contract.metrics import value
from keras_regimen.recipes.harness.terminal.interval_bar import interval_bar
from keras_regimen.recipes.harness.verdict.comparison import Comparison
from keras_regimen.recipes.harness.verdict.verdict import Verdict

CLAIM = Claim(
    "It lowers the error.",
    source="nobody",
    treatment="new",
    baseline="old",
    metric=value("x"),
    better="lower",
    smallest_effect=0.02,
)
VERDICT = Verdict("reproduced", "", 3, 3, mean=0.03, low=0.01, high=0.05)
COMPARISON = Comparison(CLAIM, done=3, seeds=3, sides=(), verdict=VERDICT)


@pytest.mark.parametrize(
    ("low", "mean", "high", "effect", "bar"),
    [
        # Reach 1.2 * 0.05: an interval around zero, inside of the effect.
        # 16 * 0.01 / 0.06 = 2.7, 16 * 0.05 / 0.06 = 13.3.
        (-0.01, 0.002, 0.01, 0.05, "   ┊         ━━━┃●━━         ┊   "),
        # Reach 1: all of the left half.
        (-1.0, -0.5, 0.0, 0.25, "━━━━━━━━●━━━╏━━━┃   ┊            "),
        # The mean stands on zero, and the interval covers the effect.
        (-0.5, 0.0, 0.5, 0.25, "━━━━━━━━╏━━━━━━━●━━━━━━━╏━━━━━━━━"),
        # A point.
        (0.02, 0.02, 0.02, 0.01, "        ┊       │       ┊       ●"),
    ],
)
def test_the_bar_has_zero_in_the_middle(low, mean, high, effect, bar):
    verdict = replace(VERDICT, low=low, mean=mean, high=high)
    claim = replace(CLAIM, smallest_effect=effect)
    drawn = interval_bar(replace(COMPARISON, claim=claim, verdict=verdict))
    assert drawn == f"worse {bar} better"


@pytest.mark.parametrize(
    "verdict",
    [
        None,
        Verdict("failed", "3 of 6 runs failed.", 3, 6),
        replace(VERDICT, low=-float("inf"), high=float("inf")),
    ],
)
def test_without_an_interval_there_is_no_bar(verdict):
    assert interval_bar(replace(COMPARISON, verdict=verdict)) is None


@pytest.mark.parametrize(
    ("columns", "bar"),
    [
        # 8 columns of 0.05 right of the middle one, the 9th: 0.01 lies 1.6
        # to the right, 0.02 3.2, and 0.03 4.8.
        (17, "     ┊  │ ━╏━●━━━"),
        (18, "     ┊  │ ━╏━●━━━"),
        # 4 columns of 0.05: 0.8, 1.6 and 2.4.
        (9, "  ┊ │━●━━"),
    ],
)
def test_a_bar_has_the_columns_that_there_are(columns, bar):
    assert interval_bar(COMPARISON, columns) == f"worse {bar} better"


def test_where_there_is_no_room_there_is_no_bar():
    assert interval_bar(COMPARISON, columns=8) is None


def test_a_tolerance_has_no_bar():
    exact = Exact("Equal.", "nobody", value("x"), at_most=1e-6)
    assert interval_bar(replace(COMPARISON, claim=exact)) is None
