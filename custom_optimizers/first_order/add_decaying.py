"""Sums that forget: how slots are moved."""

from typing import Any

import keras
from keras import ops


def add_decaying(
    optimizer: keras.optimizers.Optimizer,
    slot: keras.Variable,
    decay: float,
    term: Any,
) -> Any:
    """Moves a slot to `decay * slot + term`; returns its new value.

    In two steps, of which TensorFlow does the second in place: memory that is
    new to the process costs more than the arithmetic.

    Args:
        optimizer: The optimizer that keeps the slot.
        slot: The variable.
        decay: Float. How much of the old value is kept.
        term: Tensor of the slot's shape and dtype.

    Returns:
        A tensor.

    Example:

    >>> optimizer, slot = keras.optimizers.SGD(), keras.Variable(8.0)
    >>> float(add_decaying(optimizer, slot, 0.5, 1.0))
    5.0
    """
    optimizer.assign(slot, decay * ops.convert_to_tensor(slot))
    optimizer.assign_add(slot, term)
    return ops.convert_to_tensor(slot)
