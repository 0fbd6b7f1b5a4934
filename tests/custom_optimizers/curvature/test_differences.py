import math

import numpy as np
import pytest

from keras_regimen.custom_optimizers.curvature.differences import slope


@pytest.mark.parametrize(
    ("function", "exact"),
    [
        (lambda t: math.exp(2 * t), 2.0),
        (lambda t: math.sin(30 * t) + 5, 30.0),
        (lambda t: 7.0 * t, 7.0),
        (lambda t: t * t + 1e-6 * t, 1e-6),
    ],
)
def test_derivative_is_found_and_its_error_is_not_understated(function, exact):
    found = slope(function, 1e-16, accuracy=1e-7)
    assert found.error < 1e-5
    assert abs(found.value - exact) <= found.error


def test_rounding_of_float32_is_seen_in_the_error():
    found = slope(lambda t: float(np.float32(math.exp(t))), 1e-7, accuracy=5e-3)
    assert 1e-4 < found.error < 2e-2
    assert abs(found.value - 1) <= found.error


def test_steps_that_change_nothing_do_not_hide_the_rounding_of_others():
    def cancelling(t):
        at = np.float32(1) + np.float32(t)
        return float(np.float32(50) + np.sin(at)) - 50

    found = slope(cancelling, 2e-7, accuracy=5e-3)
    assert found.error < 0.1
    assert abs(found.value - math.cos(1)) <= found.error


def test_kinks_nearby_are_avoided_and_one_on_the_spot_is_doubtful():
    beside = slope(lambda t: max(0.0, t - 0.01), 1e-16, accuracy=1e-7)
    assert beside.value == 0
    assert beside.error < 1e-12
    across = slope(lambda t: 3 * max(0.0, t), 1e-16, accuracy=1e-7)
    assert across.error == pytest.approx(1.5)


def test_a_function_without_values_has_an_infinite_error():
    assert slope(lambda t: math.nan, 1e-7, accuracy=5e-3).error == math.inf


def test_a_slope_below_rounding_is_not_guessed():
    values = iter(np.random.default_rng(0).normal(size=100))
    found = slope(lambda t: 1 + 1e-7 * next(values), 1e-7, accuracy=5e-3)
    assert found.error == math.inf
