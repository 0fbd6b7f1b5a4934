"""A learning rate that rises before it does what it should."""

from typing import Any

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from .._arguments import check_count, check_number


@keras.saving.register_keras_serializable(package="keras_regimen")
class WarmUp(LearningRateSchedule):
    """Rises linearly to a schedule's first value, then follows the schedule.

    Use it with large batches and deep networks, in which full steps from
    random weights diverge. The schedule itself begins when the warm-up ends:
    at step `steps` it is asked for its step 0. So it can be any one, where
    Keras has a warm-up in `CosineDecay` alone.

    Args:
        schedule: Float of 0 or more, for a constant rate afterwards, or a
            `keras.optimizers.schedules.LearningRateSchedule`.
        steps: Positive integer. How many steps the warm-up takes. It starts
            at 0 with step 0.
        name: Optional string. The schedule's name.

    Raises:
        ValueError: If `schedule` is neither of the two, or `steps` is no
            positive integer.

    Example:

    >>> schedule = WarmUp(0.5, steps=2)
    >>> [float(schedule(step)) for step in range(4)]
    [0.0, 0.25, 0.5, 0.5]

    Reference:

    - Goyal et al., "Accurate, large minibatch SGD",
      [2017](https://arxiv.org/abs/1706.02677), section 2.2. It starts from the
      rate for small batches; we start from 0.
    """

    def __init__(
        self,
        schedule: float | LearningRateSchedule,
        steps: int,
        name: str | None = None,
    ):
        if not isinstance(schedule, LearningRateSchedule):
            schedule = check_number("schedule", schedule)
        self.schedule = schedule
        self.steps = check_count("steps", steps)
        self.name = name

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, keras.config.floatx())
        if isinstance(self.schedule, LearningRateSchedule):
            rate = self.schedule(ops.maximum(step - self.steps, 0.0))
        else:
            rate = self.schedule
        return rate * ops.minimum(step / self.steps, 1.0)

    def get_config(self):
        schedule = self.schedule
        if isinstance(schedule, LearningRateSchedule):
            schedule = keras.saving.serialize_keras_object(schedule)
        return {"schedule": schedule, "steps": self.steps, "name": self.name}

    @classmethod
    def from_config(cls, config):
        schedule = config["schedule"]
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        return cls(**{**config, "schedule": schedule})
