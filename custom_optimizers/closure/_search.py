"""What line searches take and return."""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from ..autodiff import larger
from ..autodiff._backend import is_eager

# Why a search ended. The first two leave a lower loss, or one that rounding
# hides; the others name what was wrong.
SUFFICIENT, NARROW, BUDGET, NOT_FINITE = range(4)
REASONS = (
    "",
    "the interval of steps is too narrow to go on: what the loss changes by "
    "is rounding",
    "no step was good enough within `max_evaluations`",
    "the loss is not finite, however short the step",
)


class Trial(NamedTuple):
    """A step along the direction of a search, and what the loss is there.

    Args:
        step: Scalar tensor, the length in units of the direction.
        value: Scalar tensor, the loss.
        slope: Scalar tensor, its derivative by the step.
        gradient: Tensor, its gradient, or whatever belongs to the point.
    """

    step: Any
    value: Any
    slope: Any
    gradient: Any


class Search(NamedTuple):
    """The outcome of a line search.

    Args:
        trial: The `Trial` that was chosen: where the search failed, the best
            that it saw, which may be its start, of step 0.
        change: Scalar tensor, what the loss changed by.
        evaluations: Integer tensor, how often the loss was evaluated.
        reason: Integer tensor, the index in `REASONS`.
    """

    trial: Trial
    change: Any
    evaluations: Any
    reason: Any


def change(start: Trial, trial: Trial):
    """Returns by how much the loss differs at two points of the line.

    Near a minimum the difference of two values has no correct digit left. The
    mean of the two slopes has: for a quadratic, and near a minimum any smooth
    loss is one, it gives the difference exactly. Where it disagrees with the
    values by more than their rounding, this is no such place.
    """
    difference = trial.value - start.value
    by_slopes = (trial.step - start.step) * (start.slope + trial.slope) / 2
    noise = noise_between(start.value, trial.value)
    hidden = (ops.abs(difference) <= noise) & (ops.abs(by_slopes) <= noise)
    return ops.where(hidden, by_slopes, difference)


def noise_between(first, second):
    """Returns below which size the difference of two losses is rounding."""
    size = larger(ops.abs(first), ops.abs(second))
    return 10 * rounding(size.dtype) * size


def rounding(dtype) -> float:
    """Returns the relative rounding of a float type."""
    return float(np.finfo(keras.backend.standardize_dtype(dtype)).eps)


def is_finite(trial: Trial):
    """Whether the loss and its slope are numbers."""
    return ops.isfinite(trial.value) & ops.isfinite(trial.slope)


def choose(condition, first, second):
    """Returns one of two structures of tensors, by a scalar condition."""
    return keras.tree.map_structure(
        lambda a, b: ops.where(condition, a, b), first, second
    )


def cond(condition, first, second):
    """Returns what one of two functions returns, and calls no other."""
    if is_eager():
        return first() if condition else second()
    return ops.cond(condition, first, second)
