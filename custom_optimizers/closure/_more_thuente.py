"""The interval of More and Thuente's line search, and the next step in it.

Everything is a scalar tensor and every case is computed, to be chosen from:
so it compiles, and costs nothing beside an evaluation of the loss.
"""

from typing import Any, NamedTuple

from keras import ops

from ..autodiff import larger, smaller
from ._search import choose


class End(NamedTuple):
    """An end of the interval: a step, the value there and the slope."""

    step: Any
    value: Any
    slope: Any


class Interval(NamedTuple):
    """Two ends, and whether a minimizer is known to lie between them.

    `low` is the end of lower value, and the slope there leads to the other.
    """

    low: End
    high: End
    closed: Any


def narrowed(interval: Interval, trial: End, least, most):
    """Returns the interval that `trial` leaves, and the next step to try.

    `least` and `most` bound the step as long as the interval is open.
    """
    low, high, closed = interval
    higher = trial.value > low.value
    opposite = ops.sign(trial.slope) * ops.sign(low.slope) < 0
    flatter = ops.abs(trial.slope) < ops.abs(low.slope)
    ahead = trial.step > low.step

    cubic, ratio, root = _cubic(low, trial)
    parabola = _parabola(low, trial)
    secant = trial.step + trial.slope / (trial.slope - low.slope) * (
        low.step - trial.step
    )
    far = ops.where(ahead, most, least)

    # 1. A higher value: the minimizer lies between. The cubic step if it is
    # the shorter, else the mean of cubic and parabola.
    shorter = ops.abs(cubic - low.step) <= ops.abs(parabola - low.step)
    between = ops.where(shorter, cubic, cubic + (parabola - cubic) / 2)
    # 2. A lower value, and the slope has turned: the farther from the trial.
    longer = ops.abs(cubic - trial.step) > ops.abs(secant - trial.step)
    turned = ops.where(longer, cubic, secant)
    # 3. Lower and flatter: extrapolate, but stay inside a closed interval.
    beyond = ops.where((ratio < 0) & (root != 0), cubic, far)
    reach = ops.abs(beyond - trial.step) - ops.abs(secant - trial.step)
    limit = trial.step + 0.66 * (high.step - trial.step)
    inside = ops.where(reach < 0, beyond, secant)
    inside = ops.where(ahead, smaller(limit, inside), larger(limit, inside))
    outside = ops.where(reach > 0, beyond, secant)
    outside = smaller(larger(outside, least), most)
    extrapolated = ops.where(closed, inside, outside)
    # 4. Lower and steeper: towards the other end, if there is one.
    steeper = ops.where(closed, _cubic(high, trial)[0], far)

    step = ops.where(flatter, extrapolated, steeper)
    step = ops.where(opposite, turned, step)
    step = ops.where(higher, between, step)
    new = Interval(
        choose(higher, low, trial),
        choose(higher, trial, choose(opposite, low, high)),
        closed | higher | opposite,
    )
    return new, step


def _cubic(a: End, b: End):
    """The minimizer of the cubic through two ends, measured from `b`."""
    theta = 3 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope
    size = larger(ops.abs(theta), larger(ops.abs(a.slope), ops.abs(b.slope)))
    radicand = (theta / size) ** 2 - (a.slope / size) * (b.slope / size)
    root = size * ops.sqrt(larger(radicand, 0.0))
    root = ops.where(b.step > a.step, -root, root)
    ratio = ((root - b.slope) + theta) / (((root - b.slope) + root) + a.slope)
    return b.step + ratio * (a.step - b.step), ratio, root


def _parabola(a: End, b: End):
    """The minimizer of the parabola by two values and the slope at `a`."""
    length = b.step - a.step
    return a.step + a.slope / ((a.value - b.value) / length + a.slope) / 2 * (
        length
    )
