"""Where the learning rates of an optimizer are, through all wrappers."""

from typing import Any

import keras
from keras import ops


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
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    if not hasattr(optimizer, "optimizers"):
        return {"learning_rate": optimizer}
    found: dict[str, Any] = {}
    for part in optimizer.optimizers:
        [part] = rated_optimizers(part).values()
        name = f"learning_rate_{part.name}"
        twins = sum(key.rstrip("0123456789_") == name for key in found)
        found[f"{name}_{twins}" if twins else name] = part
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
