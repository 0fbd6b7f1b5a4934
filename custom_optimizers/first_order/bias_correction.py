"""How much of a moving average its first steps have filled."""

import math
from typing import Any

from keras import ops


def bias_correction(beta: float, step: Any) -> Any:
    """Returns `1 - beta ** step`, with all digits.

    A moving average that starts at zero and forgets `1 - beta` in each step
    has this share of its final weight after `step` steps. In float32 the
    difference itself would lose most of its digits in the first steps.

    Args:
        beta: Float in `[0, 1)`.
        step: Float tensor: how many steps there were, 1 or more.

    Returns:
        Float tensor of the same dtype.

    Example:

    >>> round(float(bias_correction(0.75, keras.ops.array(2.0))), 4)
    0.4375
    """
    return -ops.expm1(step * (math.log(beta) if beta else -math.inf))
