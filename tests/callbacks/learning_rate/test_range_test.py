import numpy as np
import pytest

from keras_regimen.callbacks.learning_rate.range_test import (
    smooth,
    steepest_rate,
    valley_rate,
)


def test_the_moving_average_is_the_weighted_mean_of_what_came():
    losses = np.array([3.0, -1.0, 2.0, 8.0])
    found = smooth(losses, 0.7)
    for end in range(4):
        weights = 0.7 ** np.arange(end, -1, -1)
        expected = np.average(losses[: end + 1], weights=weights)
        assert found[end] == pytest.approx(expected, rel=1e-12)


def test_a_constant_stays_and_no_smoothing_changes_nothing():
    np.testing.assert_allclose(smooth([2.0] * 5, 0.98), 2.0, rtol=1e-12)
    np.testing.assert_array_equal(smooth([2.0, 7.0, 1.0], 0), [2.0, 7.0, 1.0])


def test_the_steepest_point_by_hand():
    rates = 10.0 ** np.arange(6)
    # Central differences by decades: -0.5, -1, -2.5, -2, then the lowest.
    losses = [6.0, 5.0, 4.0, 0.0, 0.0, -0.5]
    assert steepest_rate(rates, losses) == 100.0
    # What falls after an explosion tells nothing: the lowest loss came before.
    assert steepest_rate(rates, [6.0, 5.0, 1.0, 90.0, 50.0, 40.0]) == 10.0


def test_steepness_is_by_the_logarithm_of_the_rate():
    # By the rate, the first fall is the steepest; by decades the third.
    rates = [1.0, 10.0, 100.0, 1000.0, 1e4]
    assert steepest_rate(rates, [9.0, 8.0, 6.0, 3.0, 2.0]) == 100.0


def test_the_middle_of_the_longest_descent_by_hand():
    rates = 2.0 ** np.arange(9)
    # The longest descent is 7, 6, 5, 3, 2, at places 1 to 6; 8 and 9 end none.
    losses = [5.5, 7.0, 6.0, 8.0, 5.0, 3.0, 2.0, 9.0, 9.5]
    assert valley_rate(rates, losses) == 2.0**3


def test_the_valley_is_not_moved_by_a_single_drop():
    rates = np.geomspace(1e-4, 1, 41)
    losses = np.linspace(2, 1, 41)
    assert valley_rate(rates, losses) == pytest.approx(1e-2)
    losses[5] -= 0.4
    assert valley_rate(rates, losses) == pytest.approx(1e-2)
    # Where the other method follows it.
    assert steepest_rate(rates, losses) == rates[4]


@pytest.mark.parametrize("suggest", [steepest_rate, valley_rate])
@pytest.mark.parametrize(
    ("rates", "losses", "message"),
    [
        ([0.1, 1.0], [2.0, 1.0], "2 rates, 2 losses"),
        ([0.1, 1.0, 2.0], [2.0, 1.0], "3 rates, 2 losses"),
        ([0.1, 1.0, 2.0], [2.0, 2.5, 3.0], "fell at no rate.*from 0.1 to 2"),
    ],
)
def test_curves_that_say_nothing_are_refused(suggest, rates, losses, message):
    with pytest.raises(ValueError, match=message):
        suggest(rates, losses)
