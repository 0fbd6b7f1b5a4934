"""A schedule that a callback has turned down."""

from typing import Any

import keras
from keras.optimizers.schedules import LearningRateSchedule


@keras.saving.register_keras_serializable(package="keras_regimen")
class ScaledSchedule(LearningRateSchedule):
    """A schedule, multiplied by a number.

    Args:
        schedule: A schedule.
        factor: Float. What its rates are multiplied by.

    Example:

    >>> from keras_regimen.custom_optimizers import StepDecay
    >>> scaled = ScaledSchedule(StepDecay(8.0, steps=2, factor=0.5), 0.25)
    >>> [float(scaled(step)) for step in range(3)]
    [2.0, 2.0, 1.0]
    """

    def __init__(self, schedule: Any, factor: float):
        self.schedule = schedule
        self.factor = factor

    def __call__(self, step: Any) -> Any:
        return self.schedule(step) * self.factor

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        serialize = keras.saving.serialize_keras_object
        return {"schedule": serialize(self.schedule), "factor": self.factor}

    @classmethod
    def from_config(cls, config):
        """Makes a schedule from what `get_config` returned."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["factor"])
