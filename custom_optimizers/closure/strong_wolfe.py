"""A line search for steps that satisfy the strong Wolfe conditions."""

import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from ..autodiff import larger, smaller, while_loop
from ._more_thuente import End, Interval, narrowed
from ._search import (
    BUDGET,
    NARROW,
    NOT_FINITE,
    SUFFICIENT,
    Search,
    Trial,
    change,
    choose,
    cond,
    is_finite,
)

_LONGEST = 1e10


class _Line(NamedTuple):
    step: Any
    interval: Interval
    first_stage: Any
    least: Any
    most: Any
    width: Any
    last_width: Any
    ceiling: Any


class _State(NamedTuple):
    line: _Line
    best: Search
    done: Any


@keras.saving.register_keras_serializable(package="keras_regimen")
class StrongWolfe:
    """Searches a line for a step that satisfies the strong Wolfe conditions.

    Use it with every closure optimizer: it is their default. A step t along a
    direction, where the loss is f(t), is accepted if the loss falls enough,
    `f(t) <= f(0) + sufficient_decrease * t * f'(0)`, and if it is nearly flat
    there, `|f'(t)| <= curvature * |f'(0)|`. The second makes sure that BFGS
    learns a positive curvature. Steps come from cubic and quadratic
    interpolation in an interval that shrinks around such a step.

    Where values differ by less than their rounding, as they do near a minimum
    in float32, differences come from the slopes. A step with an infinite or
    undefined loss counts as too long.

    Args:
        sufficient_decrease: Float in `(0, 1)`, below `curvature`. Defaults to
            `1e-4`.
        curvature: Float in `(0, 1)`. Small values search longer: 0.9 is usual
            for quasi-Newton methods, 0.4 and less for conjugate gradients.
            Defaults to 0.9.
        interval: Float in `[0, 1)`. The search ends, with the best step so
            far, once the interval is this narrow, as a share of its upper
            end. Defaults to `1e-14`.
        max_evaluations: Positive integer, the most evaluations of one search.
            Defaults to 40.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> def phi(t):  # (t - 3)^2
    ...     return Trial(t, (t - 3) ** 2, 2 * (t - 3), keras.ops.zeros(()))
    >>> zero, one = keras.ops.zeros(()), keras.ops.ones(())
    >>> found = StrongWolfe(curvature=0.1)(phi, phi(zero), one)
    >>> round(float(found.trial.step), 3), int(found.evaluations)
    (3.0, 2)

    Reference:

    - More and Thuente, "Line Search Algorithms with Guaranteed Sufficient
      Decrease", ACM Transactions on Mathematical Software 20(3), 1994; the
      steps are those of MINPACK-2, and so of SciPy.
    - Hager and Zhang, "A New Conjugate Gradient Method with Guaranteed Descent
      and an Efficient Line Search", SIAM Journal on Optimization 16(1), 2005:
      our differences by slopes amount to their approximate conditions, used
      where rounding hides the true ones.
    """

    def __init__(
        self,
        sufficient_decrease: float = 1e-4,
        curvature: float = 0.9,
        interval: float = 1e-14,
        max_evaluations: int = 40,
    ):
        if not (
            isinstance(curvature, numbers.Real)
            and isinstance(sufficient_decrease, numbers.Real)
            and 0 < sufficient_decrease < curvature < 1
        ):
            raise ValueError(
                "`sufficient_decrease` and `curvature` must satisfy "
                "0 < sufficient_decrease < curvature < 1. Received: "
                f"sufficient_decrease={sufficient_decrease}, "
                f"curvature={curvature}"
            )
        if not (isinstance(interval, numbers.Real) and 0 <= interval < 1):
            raise ValueError(
                "`interval` must be a share in [0, 1). "
                f"Received: interval={interval}"
            )
        if not (
            isinstance(max_evaluations, numbers.Integral)
            and max_evaluations > 0
        ):
            raise ValueError(
                "`max_evaluations` must be a positive integer. "
                f"Received: max_evaluations={max_evaluations}"
            )
        self.sufficient_decrease: float = float(sufficient_decrease)
        self.curvature: float = float(curvature)
        self.interval: float = float(interval)
        self.max_evaluations: int = int(max_evaluations)

    def __call__(
        self, phi: Callable[[Any], Trial], start: Trial, first_step
    ) -> Search:
        """Searches along a line.

        Args:
            phi: Function from a step, a scalar tensor, to the `Trial` there.
            start: The `Trial` of step 0, with a negative slope.
            first_step: Positive scalar tensor, the first step to try.

        Returns:
            A `Search`.
        """
        zero = ops.zeros_like(start.value)
        end = End(zero, zero, start.slope)
        width = zero + _LONGEST
        line = _Line(
            step=_bounded(first_step),
            interval=Interval(end, end, zero > 1),
            first_stage=zero < 1,
            least=zero,
            most=5 * first_step,
            width=width,
            last_width=2 * width,
            ceiling=width,
        )
        best = Search(start, zero, ops.zeros((), "int32"), _code(BUDGET))
        state = while_loop(
            lambda s: ~s.done & (s.best.evaluations < self.max_evaluations),
            lambda s: self._tried(s, phi(s.line.step), start),
            _State(line, best, zero > 1),
        )
        return state.best

    def _tried(self, s: _State, trial: Trial, start: Trial) -> _State:
        finite = is_finite(trial)
        # Values count from the start, in differences that rounding spares.
        value = change(start, trial)
        decrease = self.sufficient_decrease * start.slope
        low_enough = finite & (value <= trial.step * decrease)
        flat_enough = ops.abs(trial.slope) <= -self.curvature * start.slope
        accepted = low_enough & flat_enough
        end = End(trial.step, value, trial.slope)
        # Mostly the first trial will do, and there is nothing to narrow.
        line, narrow = cond(
            accepted,
            lambda: (s.line, accepted),
            lambda: self._narrowed(s.line, end, finite, low_enough, decrease),
        )
        better = accepted | (finite & (value < s.best.change))
        best = choose(
            better, s.best._replace(trial=trial, change=value), s.best
        )
        reason = ops.where(finite, _code(BUDGET), _code(NOT_FINITE))
        reason = ops.where(narrow, _code(NARROW), reason)
        reason = ops.where(accepted, _code(SUFFICIENT), reason)
        best = best._replace(evaluations=s.best.evaluations + 1, reason=reason)
        return _State(line, best, narrow)

    def _narrowed(self, line, end, finite, low_enough, decrease):
        """Returns the line with its next step, and whether to give up."""
        first_stage = line.first_stage & ~(low_enough & (end.slope >= 0))
        # Where the loss is lower, but not enough, the first stage looks at
        # what lies above the line of sufficient decrease.
        tilted = (
            first_stage & (end.value <= line.interval.low.value) & ~low_enough
        )
        tilt = ops.where(tilted, decrease, 0.0)
        interval = line.interval._replace(
            low=_tilted(line.interval.low, -tilt),
            high=_tilted(line.interval.high, -tilt),
        )
        interval, step = narrowed(
            interval, _tilted(end, -tilt), line.least, line.most
        )
        low, high = _tilted(interval.low, tilt), _tilted(interval.high, tilt)
        closed = interval.closed

        # Bisect where two trials have not brought a third off the interval.
        new_width = ops.abs(high.step - low.step)
        slow = closed & (new_width >= 0.66 * line.last_width)
        step = ops.where(slow, (low.step + high.step) / 2, step)
        least = ops.where(
            closed,
            smaller(low.step, high.step),
            step + 1.1 * (step - low.step),
        )
        most = ops.where(
            closed,
            larger(low.step, high.step),
            step + 4.0 * (step - low.step),
        )
        narrow = closed & (
            (step <= least)
            | (step >= most)
            | (most - least <= self.interval * most)
        )
        advanced = line._replace(
            step=_bounded(step),
            interval=Interval(low, high, closed),
            first_stage=first_stage,
            least=least,
            most=most,
            width=ops.where(closed, new_width, line.width),
            last_width=ops.where(closed, line.width, line.last_width),
        )
        # Nothing is learned from a loss that is not a number: a shorter step.
        shorter = line.interval.low.step
        shorter = shorter + (end.step - shorter) / 10
        retreated = line._replace(step=shorter, ceiling=end.step)
        after = choose(finite, advanced, retreated)
        reached = after.step >= after.ceiling
        half = (after.interval.low.step + after.ceiling) / 2
        after = after._replace(step=ops.where(reached, half, after.step))
        return after, finite & narrow

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        return {
            "sufficient_decrease": self.sufficient_decrease,
            "curvature": self.curvature,
            "interval": self.interval,
            "max_evaluations": self.max_evaluations,
        }

    @classmethod
    def from_config(cls, config: dict):
        """Makes a line search from what `get_config` returned."""
        return cls(**config)


def _code(reason):
    return ops.full((), reason, "int32")


def _bounded(step):
    return smaller(larger(step, 0.0), _LONGEST)


def _tilted(end: End, slope) -> End:
    return End(end.step, end.value + slope * end.step, end.slope + slope)
