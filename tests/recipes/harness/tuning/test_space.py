import math
import random

import pytest

from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.tuning.space import (
    edge_warnings,
    explore,
    hyperparameters,
    size,
)


def build(hp):
    """What users write for KerasTuner: names that depend on values."""
    if hp.Choice("optimizer", ["adam", "sgd", "lion"]) == "sgd":
        hp.Float("momentum", 0.0, 0.9)
        if hp.Boolean("nesterov"):
            hp.Int("warm_up", 1, 3)
    for place in range(hp.Int("layers", 1, 3)):
        hp.Int(f"units_{place}", 32, 512, step=32)
    with hp.conditional_scope("optimizer", ["adam"]):
        hp.Float("beta", 0.8, 0.99)
    hp.Fixed("rows", 100)


def space_of(function, **given):
    hp = HyperParameters(given)
    function(hp)
    return explore(function, given, hp)


def parents(config):
    return {
        c["config"]["name"]: c["config"]["values"] for c in config["conditions"]
    }


def test_names_that_depend_on_values_are_found_and_made_conditional():
    space = {config["name"]: config for config in space_of(build)}
    assert {name: parents(config) for name, config in space.items()} == {
        "optimizer": {},
        "layers": {},
        "units_0": {},
        "beta": {"optimizer": ["adam"]},
        "momentum": {"optimizer": ["sgd"]},
        "nesterov": {"optimizer": ["sgd"]},
        "warm_up": {"nesterov": [True]},
        "units_1": {"layers": [2, 3]},
        "units_2": {"layers": [3]},
    }


def test_what_is_given_is_not_searched():
    names = [c["name"] for c in space_of(build, optimizer="sgd", layers=2)]
    assert names == [
        "momentum",
        "nesterov",
        "units_0",
        "units_1",
        "beta",
        "warm_up",
    ]


def test_a_name_that_is_missing_under_some_values_is_conditional_too():
    def other(hp):
        if hp.Boolean("plain", default=True):
            hp.Float("rate", 0, 1)

    (_, rate) = space_of(other)
    assert parents(rate) == {"plain": [True]}


def test_a_point_that_cannot_be_built_hides_no_other():
    def fragile(hp):
        if hp.Choice("kind", ["a", "b", "c"]) == "b":
            raise ArithmeticError
        hp.Float("rate", 0, 1)

    names = [config["name"] for config in space_of(fragile)]
    assert names == ["kind", "rate"]


def test_the_oracles_draw_exactly_what_a_build_asks_for():
    hp = hyperparameters(space_of(build))
    generator = random.Random(0)
    for _ in range(50):
        drawn = hyperparameters([])
        for declared in hp.space:
            drawn.merge([declared])
            if drawn.is_active(declared):
                value = declared.random_sample(generator.randint(0, 10**6))
                drawn.values[declared.name] = value
        asked = HyperParameters(drawn.values)
        build(asked)
        assert asked.unused() == []
        active = {n for n, v in asked.values.items() if v is not None}
        assert active - {"rows"} == set(drawn.values)


def test_few_whole_numbers_are_all_tried_and_many_at_their_ends():
    tried = []

    def widths(hp):
        tried.append(hp.Int("width", 1, 500))

    space_of(widths)
    assert set(tried) == {1, 500}


@pytest.mark.parametrize(
    ("declare", "points"),
    [
        (lambda hp: hp.Choice("a", [1, 2, 4]) and hp.Boolean("b"), 6),
        (lambda hp: hp.Int("a", 2, 8, step=3), 3),
        (lambda hp: hp.Float("a", 0.0, 1.0), math.inf),
        (lambda hp: hp.Fixed("a", 3), 1),
    ],
)
def test_the_size_of_a_space_is_counted(declare, points):
    assert size(space_of(declare)) == points


@pytest.mark.parametrize(
    ("declare", "value", "warned"),
    [
        (lambda hp: hp.Float("a", 0.0, 1.0), 0.99, True),
        (lambda hp: hp.Float("a", 0.0, 1.0), 0.97, False),
        (lambda hp: hp.Float("a", 1e-4, 1.0, sampling="log"), 0.9, True),
        (lambda hp: hp.Float("a", 1e-4, 1.0, sampling="log"), 0.5, False),
        (lambda hp: hp.Int("a", 1, 9), 1, True),
        (lambda hp: hp.Int("a", 1, 2), 1, False),  # Nothing lies between.
        (lambda hp: hp.Choice("a", [1, 2, 4], ordered=True), 4, True),
        (lambda hp: hp.Choice("a", ["x", "y", "z"]), "z", False),
        (lambda hp: hp.Boolean("a"), True, False),
    ],
)
def test_a_best_value_at_an_end_is_flagged(declare, value, warned):
    warnings = edge_warnings(space_of(declare), {"a": value}, "deep")
    assert bool(warnings) is warned
    assert all(w.startswith("deep: the best a, ") for w in warnings)
