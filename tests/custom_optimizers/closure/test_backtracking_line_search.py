import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import BacktrackingLineSearch
from keras_regimen.custom_optimizers.closure._search import (
    BUDGET,
    NOT_FINITE,
    SUFFICIENT,
    Trial,
)


def searched(search, function, slope, first):
    tried = []

    def phi(step):
        t = float(step)
        tried.append(t)
        value, derivative = ops.array([function(t), slope(t)], "float32")
        return Trial(step, value, derivative, ops.array(t))

    start = phi(ops.zeros(()))
    return search(phi, start, ops.full((), first, "float32")), tried[1:]


def parabola(t):
    return (t - 1) ** 2


def parabola_slope(t):
    return 2 * (t - 1)


def test_the_step_is_halved_until_the_loss_falls_enough():
    search = BacktrackingLineSearch()
    found, tried = searched(search, parabola, parabola_slope, 8.0)
    assert tried == [8, 4, 2, 1]  # At 2 the loss is what it was.
    assert float(found.trial.step) == float(found.trial.gradient) == 1
    assert (int(found.evaluations), int(found.reason)) == (4, SUFFICIENT)
    assert float(found.change) == -1


def test_what_is_enough_and_how_far_to_shrink_can_be_said():
    # f(t) <= 1 - 1.6 t only up to t = 0.4.
    search = BacktrackingLineSearch(sufficient_decrease=0.8, shrink=0.1)
    _, tried = searched(search, parabola, parabola_slope, 1.0)
    np.testing.assert_allclose(tried, [1, 0.1], rtol=1e-6)


def test_a_loss_that_is_not_a_number_means_too_long_a_step():
    found, tried = searched(
        BacktrackingLineSearch(),
        lambda t: parabola(t) if t < 1 else np.nan,
        lambda t: parabola_slope(t) if t < 1 else np.nan,
        4.0,
    )
    assert tried == [4, 2, 1, 0.5]
    assert float(found.trial.value) == 0.25


@pytest.mark.parametrize(
    ("value", "reason"), [(2.0, BUDGET), (np.nan, NOT_FINITE)]
)
def test_a_search_that_fails_stays_where_it_was_and_says_why(value, reason):
    found, tried = searched(
        BacktrackingLineSearch(max_evaluations=5),
        lambda t: value if t else 1.0,
        lambda t: -1.0,
        1.0,
    )
    assert len(tried) == int(found.evaluations) == 5
    assert int(found.reason) == reason
    assert float(found.trial.step) == 0
    assert float(found.trial.value) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"sufficient_decrease": 0},
        {"shrink": 1.0},
        {"shrink": float("nan")},
        {"max_evaluations": 1.5},
    ],
)
def test_bad_arguments_say_what_was_received(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=re.escape(f"{name}={value}")):
        BacktrackingLineSearch(**arguments)


def test_it_is_saved_with_its_arguments():
    search = BacktrackingLineSearch(1e-3, 0.25, 9)
    serialize = keras.saving.serialize_keras_object
    clone = keras.saving.deserialize_keras_object(serialize(search))
    assert isinstance(clone, BacktrackingLineSearch)
    assert clone.get_config() == search.get_config()
