"""A learning rate that rises and falls again and again."""

import math
from typing import Any

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from .._arguments import check_count, check_number


@keras.saving.register_keras_serializable(package="keras_regimen")
class Cyclical(LearningRateSchedule):
    """Goes up and down between two rates, in straight lines.

    Use it in place of searching one rate: a cycle passes all of a range. Each
    cycle begins and ends at `minimum`; its top falls from cycle to cycle if
    `decay` is below 1.

    Args:
        minimum: Float of 0 or more. The rate at the start of a cycle.
        maximum: Float, larger than `minimum`. The rate at the first top.
        half_cycle: Positive integer. How many steps it rises, and then falls:
            two to ten epochs in the paper.
        decay: Float in `(0, 1]`. How much of the height of a cycle its
            successor has: 1 for the paper's `triangular`, 0.5 for its
            `triangular2`. Default 1.
        name: Optional string. The schedule's name.

    Raises:
        ValueError: If an argument is outside its range.

    Example:

    >>> schedule = Cyclical(0.0, 1.0, half_cycle=2, decay=0.5)
    >>> [float(schedule(step)) for step in range(8)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25]

    Reference:

    - Smith, "Cyclical learning rates for training neural networks",
      [2015](https://arxiv.org/abs/1506.01186). Its `exp_range`, which decays
      with each step and not each cycle, is left out.
    """

    def __init__(
        self,
        minimum: float,
        maximum: float,
        half_cycle: int,
        decay: float = 1.0,
        name: str | None = None,
    ):
        self.minimum = check_number("minimum", minimum)
        self.maximum = check_number(
            "maximum", maximum, low=self.minimum, open_low=True
        )
        self.half_cycle = check_count("half_cycle", half_cycle)
        self.decay = check_number(
            "decay", decay, high=1, open_low=True, open_high=False
        )
        self.name = name

    def __call__(self, step: Any) -> Any:
        dtype = keras.config.floatx()
        period = 2 * self.half_cycle
        # Whole numbers: floats forget where late steps are in their cycle.
        step = ops.cast(step, "int32")
        cycle = ops.cast(step // period, dtype)
        position = ops.cast(step % period, dtype) / self.half_cycle
        height = 1 - ops.absolute(position - 1)
        height = height * ops.exp(cycle * math.log(self.decay))
        return self.minimum + (self.maximum - self.minimum) * height

    def get_config(self):
        return {
            "minimum": self.minimum,
            "maximum": self.maximum,
            "half_cycle": self.half_cycle,
            "decay": self.decay,
            "name": self.name,
        }
