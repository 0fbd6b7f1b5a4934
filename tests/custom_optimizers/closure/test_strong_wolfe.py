import re

import keras
import numpy as np
import pytest
from keras import ops
from scipy.optimize._dcsrch import DCSRCH

from keras_regimen.custom_optimizers import StrongWolfe
from keras_regimen.custom_optimizers.closure._search import (
    BUDGET,
    NARROW,
    NOT_FINITE,
    SUFFICIENT,
    Trial,
)

# Functions of a step with their slopes. The first four are those of More and
# Thuente's table, in one variable; beta = 0.01 and so on are theirs.
FUNCTIONS = {
    "more-thuente 1": (
        lambda t: -t / (t**2 + 2),
        lambda t: (t**2 - 2) / (t**2 + 2) ** 2,
    ),
    "more-thuente 2": (
        lambda t: (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4,
        lambda t: 5 * (t + 0.004) ** 4 - 8 * (t + 0.004) ** 3,
    ),
    "parabola": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "valley": (
        lambda t: (t - 1) ** 4 - t / 10,
        lambda t: 4 * (t - 1) ** 3 - 1 / 10,
    ),
    "hill first": (
        lambda t: -t + 1e-3 * t**4,
        lambda t: -1 + 4e-3 * t**3,
    ),
}


def on_line(function, slope, tried=None, dtype="float64"):
    """phi of a line search, evaluated by NumPy."""

    def phi(step):
        t = np.asarray(ops.convert_to_numpy(step), dtype)
        if tried is not None:
            tried.append(float(t))
        value, derivative = (
            ops.convert_to_tensor(f(t), dtype=dtype) for f in (function, slope)
        )
        return Trial(step, value, derivative, ops.zeros((), dtype))

    return phi


def searched(search, function, slope, first, dtype="float64"):
    tried = []
    phi = on_line(function, slope, tried, dtype)
    start = phi(ops.zeros((), dtype))
    found = search(phi, start, ops.full((), first, dtype))
    return found, tried[1:]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("curvature", [0.9, 1e-3])
@pytest.mark.parametrize("first", [1e-3, 1.0, 10.0])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_steps_are_those_of_minpack(name, first, curvature):
    function, slope = FUNCTIONS[name]
    expected = []
    reference = DCSRCH(
        lambda t: expected.append(t) or function(t),
        slope,
        1e-4,
        curvature,
        1e-14,
        0.0,
        1e10,
    )
    reference(first, function(0.0), slope(0.0))
    search = StrongWolfe(1e-4, curvature)
    found, tried = searched(search, function, slope, first)
    np.testing.assert_allclose(tried, expected, rtol=1e-8)
    assert int(found.reason) == SUFFICIENT
    assert int(found.evaluations) == len(tried)
    t = float(found.trial.step)
    assert t == tried[-1]
    assert function(t) <= function(0.0) + 1e-4 * t * slope(0.0)
    assert abs(slope(t)) <= curvature * abs(slope(0.0))


def test_rounding_does_not_end_a_float32_search_too_early():
    # Around the minimizer at 1e-3 all values round to one or its neighbours.
    def function(t):
        return np.float32(1 + (np.float64(t) - 1e-3) ** 2)

    def slope(t):
        return np.float32(2 * (np.float64(t) - 1e-3))

    search = StrongWolfe(1e-4, 0.01)
    found, _ = searched(search, function, slope, 1e-2, "float32")
    assert int(found.reason) == SUFFICIENT
    assert abs(float(found.trial.step) - 1e-3) < 1e-5
    # The true change is -1e-6, an eighth of what float32 can tell here.
    assert float(found.change) == pytest.approx(-1e-6, rel=0.1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_a_number_means_too_long_a_step(bad):
    def function(t):
        return (t - 0.3) ** 2 if t < 0.5 else bad

    def slope(t):
        return 2 * (t - 0.3) if t < 0.5 else bad

    found, _ = searched(StrongWolfe(), function, slope, 8.0, "float32")
    assert int(found.reason) == SUFFICIENT
    assert 0 < float(found.trial.step) < 0.5
    assert np.isfinite(float(found.trial.value))


@pytest.mark.usefixtures("float64")
def test_a_search_that_fails_returns_the_best_it_saw_and_why():
    # Downhill for ever, and never flat: each step is better than the last.
    found, tried = searched(
        StrongWolfe(max_evaluations=3), lambda t: -t, lambda t: -1 + 0 * t, 1.0
    )
    assert int(found.reason) == BUDGET
    assert int(found.evaluations) == len(tried) == 3
    assert float(found.trial.step) == max(tried)
    # A kink is flat nowhere: the interval closes around it.
    found, _ = searched(
        StrongWolfe(interval=0.01),
        lambda t: abs(t - 1),
        lambda t: np.sign(t - 1),
        0.3,
    )
    assert int(found.reason) == NARROW
    assert float(found.trial.step) == pytest.approx(1, abs=0.02)
    # A slope that lies: every step is worse than none.
    found, _ = searched(
        StrongWolfe(), lambda t: 1 + abs(t), lambda t: -1 + 0 * t, 1
    )
    assert int(found.reason) == BUDGET
    assert float(found.trial.value) == pytest.approx(1, abs=1e-12)
    found, _ = searched(
        StrongWolfe(),
        lambda t: np.where(t > 0, np.nan, 1.0),
        lambda t: np.where(t > 0, np.nan, -1.0),
        1.0,
    )
    assert int(found.reason) == NOT_FINITE
    assert float(found.trial.step) == 0


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"sufficient_decrease": 0}, "sufficient_decrease=0,"),
        ({"curvature": 1.0}, "curvature=1.0"),
        ({"curvature": float("nan")}, "curvature=nan"),
        ({"sufficient_decrease": 0.5, "curvature": 0.4}, "curvature=0.4"),
        ({"interval": 1.0}, "interval=1.0"),
        ({"max_evaluations": 0}, "max_evaluations=0"),
    ],
)
def test_bad_arguments_say_what_was_received(arguments, received):
    with pytest.raises(ValueError, match=re.escape(received)):
        StrongWolfe(**arguments)


def test_it_is_saved_with_its_arguments():
    search = StrongWolfe(1e-3, 0.8, 0.1, 7)
    serialize = keras.saving.serialize_keras_object
    clone = keras.saving.deserialize_keras_object(serialize(search))
    assert isinstance(clone, StrongWolfe)
    assert clone.get_config() == search.get_config()
