"""A derivative from differences, and how far it may be off."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# The share of a slope that rounding may take where it takes a lot.
_COARSE = 0.1


class Slope(NamedTuple):
    """A derivative that was found from differences.

    Args:
        value: Float.
        error: Float, about how far it may be off.

    Example:

    >>> Slope(2.0, 1e-6).value
    2.0
    """

    value: float
    error: float


def slope(function: Callable, precision: float, accuracy: float) -> Slope:
    """Returns the derivative of a function at 0 by central differences.

    The smallest step is taken, of 1, 1/4, 1/16 and so on, at which rounding
    leaves the accuracy that is asked for, so that few kinks lie within. Where
    no step does, a tenth serves; and where rounding is more than that at any
    step, the error is infinite.

    Args:
        function: Function from a float to a float.
        precision: Float, the relative rounding error of the function's values.
        accuracy: Float, the relative error that is small enough.

    Returns:
        A `Slope`, of `value` and `error`.

    Example:

    >>> found = slope(lambda t: np.sin(3 * t), 1e-16, accuracy=1e-6)
    >>> abs(found.value - 3) < 1e-5
    True
    >>> kink = slope(lambda t: max(0.0, t), 1e-16, accuracy=1e-6)
    >>> round(kink.error, 3)
    0.5
    """
    # Down to where the change is rounding, and little more.
    steps = 4.0 ** -np.arange(2 - np.log(precision) / np.log(4))
    ahead, behind = (
        np.array([function(side * step) for step in steps]) for side in (1, -1)
    )
    here = function(0.0)
    slopes = (ahead - behind) / (2 * steps)
    # Slopes on both sides differ by curvature, a kink between, or rounding,
    # which is all that is left at the smaller steps (at the very smallest not
    # even that: they leave a large argument as it is).
    jumps = np.abs(ahead - 2 * here + behind)
    rounding = (np.max(jumps[-6:]) + precision * abs(here)) / steps
    # The gaps on both sides of 0 may agree by chance: so a slope must agree
    # with those at all smaller steps, too, as far as rounding lets these say.
    apart = np.abs(slopes[:, None] - slopes) - rounding
    apart = np.max(np.triu(apart, k=1), axis=1)
    errors = np.maximum(jumps / (2 * steps), apart) + rounding
    errors[~np.isfinite(errors)] = np.inf
    for share in (accuracy, _COARSE):
        fine = np.flatnonzero(rounding <= share * np.abs(slopes))
        if len(fine):
            return Slope(float(slopes[fine[-1]]), float(errors[fine[-1]]))
    return Slope(float(slopes[0]), np.inf)
