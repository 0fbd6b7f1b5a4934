"""One rise and one fall of the learning rate."""

import math
from typing import Any

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from .._arguments import check_count, check_number


@keras.saving.register_keras_serializable(package="keras_regimen")
class OneCycle(LearningRateSchedule):
    """Rises to a large rate and falls to almost none, both along a cosine.

    Use it where you know for how long you train: the large rates in between,
    found by a range test, regularize, and the fall to almost none settles.

    Args:
        maximum: Positive float. The largest rate.
        steps: Integer of 2 or more. The length of training; afterwards the
            rate stays at the last one.
        rise: Float in `(0, 1)`. The share of the steps that it rises. Default
            0.3.
        initial_divisor: Positive float. The first rate is `maximum` divided
            by it. Default 25.
        final_divisor: Positive float. The last rate is the first one divided
            by it. Default 1e4.
        name: Optional string. The schedule's name.

    Raises:
        ValueError: If an argument is outside its range, or if there is no
            whole step to rise.

    Example:

    >>> schedule = OneCycle(1.0, steps=5, rise=0.4, initial_divisor=4)
    >>> [round(float(schedule(step)), 3) for step in range(5)]
    [0.25, 1.0, 0.75, 0.25, 0.0]

    Reference:

    - Smith and Topin, "Super-convergence: very fast training of neural
      networks using large learning rates",
      [2017](https://arxiv.org/abs/1708.07120), with the cosine of fast.ai,
      as PyTorch's `OneCycleLR`. The paper cycles momentum too; we do not.
    """

    def __init__(
        self,
        maximum: float,
        steps: int,
        rise: float = 0.3,
        initial_divisor: float = 25.0,
        final_divisor: float = 1e4,
        name: str | None = None,
    ):
        self.maximum = check_number("maximum", maximum, open_low=True)
        self.steps = check_count("steps", steps, low=2)
        self.rise = check_number("rise", rise, high=1, open_low=True)
        if self.rise * self.steps <= 1:
            raise ValueError(
                "`rise` must leave more than one step to rise: more than "
                f"1 / steps. Received: rise={rise}, steps={steps}"
            )
        self.initial_divisor = check_number(
            "initial_divisor", initial_divisor, open_low=True
        )
        self.final_divisor = check_number(
            "final_divisor", final_divisor, open_low=True
        )
        self.name = name

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, keras.config.floatx())
        first = self.maximum / self.initial_divisor
        last = first / self.final_divisor
        # The top is at step `rise * steps - 1`, as in PyTorch: it need not
        # be a whole one.
        top = self.rise * self.steps - 1
        up = _cosine(first, self.maximum, step / top)
        fallen = (step - top) / (self.steps - 1 - top)
        down = _cosine(self.maximum, last, ops.minimum(fallen, 1.0))
        return ops.where(step <= top, up, down)

    def get_config(self):
        return {
            "maximum": self.maximum,
            "steps": self.steps,
            "rise": self.rise,
            "initial_divisor": self.initial_divisor,
            "final_divisor": self.final_divisor,
            "name": self.name,
        }


def _cosine(start, end, share):
    return end + (start - end) / 2 * (1 + ops.cos(math.pi * share))
