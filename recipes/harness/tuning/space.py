"""The search space: found by building, plain values to the oracle."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..report.search_range import range_of

if TYPE_CHECKING:
    from ..contract.hyperparameters import HyperParameters

# Whole numbers with more values are tried at their ends alone, unless these
# show that names depend on them.
_FEW = 10
_MANY = 64


def explore(
    build: Callable[["HyperParameters"], Any],
    given: Mapping[str, Any],
    first: "HyperParameters",
) -> list[dict[str, Any]]:
    """Returns every hyperparameter that `build` may ask for.

    A name that is asked for only under some values of another one, as in
    `if hp.Choice("optimizer", ...) == "sgd":`, is found by building with
    these values, and is made conditional on them, as if it had been declared
    in `hp.conditional_scope`. Names that depend on two others at once are
    found where either alone shows them.

    Args:
        build: Asks for hyperparameters; what it returns is ignored.
        given: The values that are not searched.
        first: What `build` has been called with already, with `given`.

    Returns:
        A configuration for each name that is not given, with its `kind`.

    Example:

    >>> from keras_regimen.recipes.harness.contract import hyperparameters
    >>> def build(hp):
    ...     if hp.Choice("optimizer", ["adam", "sgd"]) == "sgd":
    ...         hp.Float("momentum", 0.0, 0.9)
    >>> hp = hyperparameters.HyperParameters()
    >>> build(hp)
    >>> [c["name"] for c in explore(build, {}, hp)]
    ['optimizer', 'momentum']
    """
    found = {hp.name: hp for hp in first.free()}
    # Under which values of which parents a name is asked for, if not all.
    shown: dict[str, dict[str, list[Any]]] = {}
    waiting = [(name, dict(given)) for name in found]
    while waiting:
        parent, assignment = waiting.pop(0)
        asked = []
        for value in _branches(found[parent], build, assignment, found):
            tried = {**assignment, parent: value}
            hp = _built(build, tried)
            asked.append((value, hp.declared()))
            for new in hp.free():
                if new.name not in found:
                    found[new.name] = new
                    waiting.append((new.name, tried))
        for value, names in asked:
            for name in names:
                if any(name not in others for _, others in asked):
                    values = shown.setdefault(name, {}).setdefault(parent, [])
                    values.append(value)
    return [_config(hp, shown.get(name, {})) for name, hp in found.items()]


def _branches(
    hp: Any,
    build: Callable[["HyperParameters"], Any],
    assignment: Mapping[str, Any],
    found: Mapping[str, Any],
) -> Sequence[Any]:
    """Returns the values of a hyperparameter that others may depend on."""
    kind = type(hp).__name__
    if hp.conditions or kind not in ("Choice", "Boolean", "Int"):
        return ()
    values = list(hp.values) if kind != "Boolean" else [False, True]
    if kind != "Int" or len(values) <= _FEW:
        return values
    ends = [values[0], values[-1]]
    for value in ends:
        new = _built(build, {**assignment, hp.name: value}).declared()
        if set(new) - set(found) - set(assignment) and len(values) <= _MANY:
            return values
    return ends


def _built(
    build: Callable[["HyperParameters"], Any], given: Mapping[str, Any]
) -> "HyperParameters":
    from ..contract.hyperparameters import HyperParameters

    hp = HyperParameters(given)
    try:
        build(hp)
    except Exception:
        # A point that cannot be built is a failed trial, not a failed search.
        logging.getLogger(__name__).debug(given, exc_info=True)
    return hp


def _config(hp: Any, shown: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    config = {"kind": type(hp).__name__, **hp.get_config()}
    # With two parents any of them may have asked: tried always, then, and
    # left alone by cells that do not ask.
    if len(shown) == 1:
        parent, values = next(iter(shown.items()))
        condition = {"name": parent, "values": list(values)}
        config["conditions"] = [
            *config["conditions"],
            {"class_name": "Parent", "config": condition},
        ]
    return config


def hyperparameters(space: Sequence[Mapping[str, Any]]) -> Any:
    """Returns a space as `keras_tuner.HyperParameters`.

    Args:
        space: Configurations, as of `explore`.
    """
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    for config in space:
        config = dict(config)
        kind = getattr(keras_tuner.engine.hyperparameters, config.pop("kind"))
        hp._register(kind.from_config(config))
    return hp


def size(space: Sequence[Mapping[str, Any]]) -> float:
    """Returns how many points a space has, conditions aside.

    >>> size([{"kind": "Boolean"}, {"kind": "Choice", "values": [1, 2, 4]}])
    6
    """
    points: float = 1
    for config in space:
        if config["kind"] == "Boolean":
            points *= 2
        elif config["kind"] == "Choice":
            points *= len(config["values"])
        elif config["kind"] == "Int" and config.get("step"):
            span = config["max_value"] - config["min_value"]
            points *= span // config["step"] + 1
        elif config["kind"] != "Fixed":
            return math.inf
    return points


def edge_warnings(
    space: Sequence[Mapping[str, Any]], values: Mapping[str, Any], arm: str
) -> list[str]:
    """Returns a sentence for each best value at an end of its range.

    Args:
        space: Configurations.
        values: The best settings.
        arm: String. The arm that they are of.
    """
    told = (
        limits.warning(config["name"], values.get(config["name"]), arm)
        for config in space
        if (limits := range_of(config)) is not None
    )
    return [sentence for sentence in told if sentence]
