"""One variable's update after another's, where XLA compiles for a CPU."""

import math
from typing import Any

import keras
from keras import ops

if keras.config.backend() == "tensorflow":
    from ._tensorflow import compiled_for_a_cpu
elif keras.config.backend() == "jax":
    from ._jax import compiled_for_a_cpu
else:

    def compiled_for_a_cpu(tensor):
        """Returns `False`: PyTorch runs in the order of the code."""
        return False


def in_turn(
    optimizer: keras.optimizers.Optimizer, index: int, gradient: Any
) -> Any:
    """Returns the gradient, once the variable before it has been moved.

    XLA orders by depth what does not depend on each other: the first moments
    of all variables, then the second of all, and so on. On a CPU each array
    has left the cache when it is read again, and an update takes up to twice
    as long. So here each gradient waits for the update before. The value is
    the same to the bit; on other devices, and uncompiled, nothing is added.

    Args:
        optimizer: The optimizer, in its `update_step`.
        index: Integer. Which of its variables the gradient belongs to.
        gradient: Tensor.

    Returns:
        A tensor.

    Example:

    >>> optimizer = keras.optimizers.SGD()
    >>> optimizer.build([keras.Variable([1.0]), keras.Variable([2.0])])
    >>> in_turn(optimizer, 1, "what it is")  # Nothing is compiled here.
    'what it is'
    """
    if not index or not compiled_for_a_cpu(gradient):
        return gradient
    before = optimizer._trainable_variables[index - 1]
    if not math.prod(before.shape):
        return gradient
    first = ops.reshape(before, (-1,))[0]
    # Nothing is above infinity, which XLA does not know.
    factor = ops.where(first > math.inf, 0.0, 1.0)
    return gradient * ops.cast(factor, gradient.dtype)
