"""Where the learning rates of an optimizer are, through all wrappers."""

import itertools
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops


def optimizers_within(optimizer: Any) -> Iterator[Any]:
    """Yields an optimizer and all that it holds, from outside to inside.

    Args:
        optimizer: An optimizer, maybe a wrapper or a `MultiOptimizer`.

    Returns:
        Iterator of optimizers.

    Example:

    >>> adam = keras.optimizers.Adam()
    >>> scaled = keras.optimizers.LossScaleOptimizer(adam)
    >>> [part.name for part in optimizers_within(scaled)]
    ['loss_scale_optimizer', 'adam']
    """
    yield optimizer
    for part in _parts(optimizer):
        yield from optimizers_within(part)


def rated_optimizers(optimizer: Any) -> dict[str, Any]:
    """Returns the optimizers that own a learning rate, by its name in logs.

    Args:
        optimizer: An optimizer. A `LossScaleOptimizer` and Regimen's wrappers
            are looked through, and a `MultiOptimizer` is taken apart.

    Returns:
        Dictionary `{"learning_rate": optimizer}`; of a `MultiOptimizer`
        `{"learning_rate_adam": adam, "learning_rate_sgd": sgd}`.

    Example:

    >>> adam = keras.optimizers.Adam()
    >>> scaled = keras.optimizers.LossScaleOptimizer(adam)
    >>> rated_optimizers(scaled) == {"learning_rate": adam}
    True
    """
    inside = list(optimizers_within(optimizer))
    owners = [part for part in inside if not _parts(part)]
    if len(owners) == 1 and not any(hasattr(p, "optimizers") for p in inside):
        return {"learning_rate": owners[0]}
    found: dict[str, Any] = {}
    for part in owners:
        name = key = f"learning_rate_{part.name}"
        twins = itertools.count(1)
        while key in found:
            key = f"{name}_{next(twins)}"
        found[key] = part
    return found


def schedule_of(optimizer: Any) -> Any:
    """Returns what computes an optimizer's rate, or `None` if it is a number.

    Args:
        optimizer: An optimizer that owns a learning rate.

    Returns:
        A `LearningRateSchedule` or another function, or `None`.

    Example:

    >>> schedule_of(keras.optimizers.SGD(0.1)) is None
    True
    """
    # Private: nothing public tells a schedule from its present value.
    rate = optimizer._learning_rate
    return None if isinstance(rate, keras.Variable) else rate


def rate_of(optimizer: Any) -> float:
    """Returns an optimizer's present learning rate.

    Args:
        optimizer: An optimizer.

    Returns:
        Float.

    Example:

    >>> rate_of(keras.optimizers.SGD(0.5))
    0.5
    """
    return float(ops.convert_to_numpy(optimizer.learning_rate))


def _parts(optimizer: Any) -> list[Any]:
    if hasattr(optimizer, "inner_optimizer"):
        return [optimizer.inner_optimizer]
    return list(getattr(optimizer, "optimizers", []))
