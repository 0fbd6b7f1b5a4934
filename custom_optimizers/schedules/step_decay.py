"""A learning rate that falls at given steps."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from .._arguments import check_count, check_number


@keras.saving.register_keras_serializable(package="keras_regimen")
class StepDecay(LearningRateSchedule):
    """Multiplies the rate by a factor, at given steps or every so many.

    Use it for the schedule of most papers on images, "divided by 10 after 50 %
    and 75 % of training". Keras has `PiecewiseConstantDecay`, which wants each
    rate, and `ExponentialDecay(staircase=True)`, which decays for ever.

    Args:
        initial_learning_rate: Float of 0 or more.
        steps: Positive integer, to decay after every so many steps, or a
            sequence of rising positive integers, to decay at each of them: at
            step 100, the 101st, the rate is the lower one.
        factor: Float in `(0, 1]`. What the rate is multiplied by. Default 0.1.
        name: Optional string. The schedule's name.

    Raises:
        ValueError: If an argument is outside its range, or the steps do not
            rise.

    Example:

    >>> schedule = StepDecay(8.0, steps=[2, 3], factor=0.5)
    >>> [float(schedule(step)) for step in range(5)]
    [8.0, 8.0, 4.0, 2.0, 2.0]
    >>> schedule = StepDecay(8.0, steps=2, factor=0.5)
    >>> [float(schedule(step)) for step in range(5)]
    [8.0, 8.0, 4.0, 4.0, 2.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        steps: int | Sequence[int],
        factor: float = 0.1,
        name: str | None = None,
    ):
        self.initial_learning_rate = check_number(
            "initial_learning_rate", initial_learning_rate
        )
        if isinstance(steps, Sequence) and not isinstance(steps, str):
            steps = [check_count("steps", step) for step in steps]
            if not steps or sorted(set(steps)) != steps:
                raise ValueError(
                    "`steps` must rise from one to the next. "
                    f"Received: steps={steps}"
                )
        else:
            steps = check_count("steps", steps)
        self.steps = steps
        self.factor = check_number(
            "factor", factor, high=1, open_low=True, open_high=False
        )
        self.name = name

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "int32")
        if isinstance(self.steps, int):
            decays = step // self.steps
        else:
            passed = step >= ops.convert_to_tensor(self.steps, "int32")
            decays = ops.sum(ops.cast(passed, "int32"))
        decays = ops.cast(decays, keras.config.floatx())
        return self.initial_learning_rate * ops.power(self.factor, decays)

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "steps": self.steps,
            "factor": self.factor,
            "name": self.name,
        }
