"""What of a compiled model changes while it trains."""

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ..learning_rate.learning_rates import (
    optimizers_within,
    rated_optimizers,
    schedule_of,
)
from ..learning_rate.scaled_schedule import ScaledSchedule


def state_variables(model: keras.Model) -> list[keras.Variable]:
    """Returns the variables that training depends on.

    Those of the model with its seed generators, of its weights' constraints
    and regularizers, and of the optimizer with all that it wraps. Metrics are
    not among them: they begin anew with each epoch.

    Args:
        model: A compiled model.

    Returns:
        List of variables, each once, always in the same order.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dropout(0.5)])
    >>> model.compile("sgd")
    >>> [variable.name for variable in state_variables(model)]
    ['seed_generator_state', 'iteration', 'learning_rate']
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = list(model.variables)
    for weight in model.weights:
        for holder in (weight.constraint, weight.regularizer):
            held = getattr(holder, "__dict__", {}).values()
            variables += [v for v in held if isinstance(v, keras.Variable)]
    for optimizer in optimizers_within(model.optimizer):
        variables += optimizer.variables
    # By identity, since `==` of variables compares their elements.
    unique = {id(variable): variable for variable in variables}
    for variable in model.metrics_variables:
        unique.pop(id(variable), None)
    return list(unique.values())


def description(variable: keras.Variable) -> str:
    """Returns what a variable is, without the numbers that Keras counts by.

    Args:
        variable: A Keras variable.

    Returns:
        String.

    Example:

    >>> dense = keras.layers.Dense(3, name="dense_7")
    >>> dense.build((None, 2))
    >>> description(dense.kernel)
    '`dense/kernel` of shape (2, 3), float32'
    """
    path = re.sub(r"_\d+(?=[_/]|$)", "", variable.path)
    shape = tuple(variable.shape)
    return f"`{path}` of shape {shape}, {variable.dtype}"


def place_of(variables: Sequence[keras.Variable]) -> str:
    """Returns where variables are, as far as random numbers depend on it.

    Args:
        variables: List of variables.

    Returns:
        String.

    Example:

    >>> place = place_of([keras.Variable([1.0])])
    >>> place == f"{keras.config.backend()} on 1 replica(s)"
    True
    """
    replicas = max(len(_replicas(variable)) for variable in variables)
    return f"{keras.config.backend()} on {replicas} replica(s)"


def values_of(variable: keras.Variable) -> list[np.ndarray]:
    """Returns what a variable holds.

    Args:
        variable: A Keras variable.

    Returns:
        List with an array; or, under `tf.distribute`, with one per replica if
        they differ, as the moving averages of batch normalization do.

    Example:

    >>> values_of(keras.Variable([1.0, 2.0]))
    [array([1., 2.], dtype=float32)]
    """
    # The first alone is what Keras reads and saves.
    values = list(map(ops.convert_to_numpy, _replicas(variable)))
    differ = any(
        not np.array_equal(values[0], value, equal_nan=True)
        for value in values[1:]
    )
    return values if differ else values[:1]


def assign(
    variables: Sequence[keras.Variable], values: Sequence[list[Any]]
) -> None:
    """Writes what `values_of` returned into variables.

    Args:
        variables: List of variables.
        values: List of lists of arrays.

    Example:

    >>> variable = keras.Variable([1.0, 2.0])
    >>> assign([variable], [[np.zeros(2)]])
    >>> float(ops.sum(variable))
    0.0
    """
    for variable, held in zip(variables, values, strict=True):
        if len(held) == 1:
            variable.assign(held[0])
            continue
        for replica, value in zip(_replicas(variable), held, strict=True):
            replica.assign(value)


def rate_factors(optimizer: Any) -> dict[str, float]:
    """Returns what `ReduceLROnPlateau` multiplies schedules by.

    Args:
        optimizer: An optimizer.

    Returns:
        Dictionary from names in logs to numbers, empty where no schedule has
        been turned down.

    Example:

    >>> sgd = keras.optimizers.SGD(ScaledSchedule(lambda step: 0.5, 0.1))
    >>> rate_factors(sgd)
    {'learning_rate': 0.1}
    """
    schedules = {
        name: schedule_of(owner)
        for name, owner in rated_optimizers(optimizer).items()
    }
    return {
        name: schedule.factor
        for name, schedule in schedules.items()
        if isinstance(schedule, ScaledSchedule)
    }


def set_rate_factors(optimizer: Any, factors: dict[str, float]) -> None:
    """Turns schedules down as `rate_factors` has found them.

    Args:
        optimizer: An optimizer.
        factors: Dictionary from `rate_factors`.

    Example:

    >>> decay = keras.optimizers.schedules.CosineDecay(0.5, 10)
    >>> sgd = keras.optimizers.SGD(decay)
    >>> set_rate_factors(sgd, {"learning_rate": 0.1})
    >>> round(float(ops.convert_to_numpy(sgd.learning_rate)), 3)
    0.05
    """
    for name, owner in rated_optimizers(optimizer).items():
        schedule = schedule_of(owner)
        if isinstance(schedule, ScaledSchedule):
            schedule = owner.learning_rate = schedule.schedule
        if name in factors:
            owner.learning_rate = ScaledSchedule(schedule, factors[name])


def _replicas(variable: keras.Variable) -> list[Any]:
    if keras.config.backend() != "tensorflow":
        return [variable]
    return list(getattr(variable.value, "values", [variable]))
