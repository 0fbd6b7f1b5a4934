import math
import re

import pytest

from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.refusal import RefusalError


def build(hp):
    """Asks for one of each kind."""
    hp.Float("rate", 0.1, 0.5, default=0.2)
    hp.Float("learning_rate", 1e-4, 1e-1, sampling="log", default=1e-3)
    hp.Int("units", 8, 64, default=16)
    hp.Choice("activation", ["relu", "tanh"])
    hp.Boolean("bias")
    return hp


def test_given_values_are_returned_and_the_rest_are_defaults():
    hp = build(HyperParameters({"rate": 0.3, "units": 8}))
    assert hp.resolved() == {
        "rate": 0.3,
        "learning_rate": 1e-3,
        "units": 8,
        "activation": "relu",
        "bias": False,
    }


@pytest.mark.parametrize(
    ("name", "received", "allowed"),
    [
        ("rate", 0.6, "a number from 0.1 to 0.5"),
        ("rate", math.nan, "a number from 0.1 to 0.5"),
        ("rate", "high", "a number from 0.1 to 0.5"),
        ("rate", True, "a number from 0.1 to 0.5"),
        ("units", 12.5, "a whole number from 8 to 64"),
        ("units", 7, "a whole number from 8 to 64"),
        ("activation", "elu", "one of 'relu', 'tanh'"),
        ("bias", 1, "true or false"),
    ],
)
def test_a_value_outside_its_range_is_refused(name, received, allowed):
    sentence = f"{name!r} must be {allowed}. Received: {name}={received!r}"
    with pytest.raises(RefusalError, match=re.escape(sentence)):
        build(HyperParameters({name: received}))


def test_both_ends_of_a_range_are_allowed():
    low = build(HyperParameters({"rate": 0.1, "learning_rate": 1e-4}))
    high = build(HyperParameters({"rate": 0.5, "units": 64}))
    assert low["learning_rate"] == 1e-4
    assert (high["rate"], high["units"]) == (0.5, 64)


def test_a_whole_number_given_as_float_is_an_int():
    units = HyperParameters({"units": 16.0}).Int("units", 8, 64)
    assert (units, type(units)) == (16, int)


def test_names_that_nothing_asks_for_are_found():
    hp = build(HyperParameters({"rat": 0.3, "rate": 0.3}))
    assert hp.unused() == ["rat"]


def test_free_is_what_is_neither_given_nor_fixed():
    hp = build(HyperParameters({"rate": 0.3}))
    hp.Fixed("depth", 3)
    names = [free.name for free in hp.free()]
    assert names == ["learning_rate", "units", "activation", "bias"]


def test_an_inactive_conditional_value_is_not_checked():
    hp = HyperParameters({"kind": "a", "only_b": 99})
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["b"]):
        assert hp.Int("only_b", 0, 5) is None
