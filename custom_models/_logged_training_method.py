"""A training method that logs figures of its own, in training alone."""

from typing import Any

import keras

from ..custom_optimizers.autodiff import is_eager
from .training_method import TrainingMethod


class LoggedTrainingMethod(TrainingMethod):
    """Averages further figures over an epoch; `evaluate` does not have them.

    Args:
        model: A `keras.Model`.
        logged: Sequence of strings, the figures' names.
        **kwargs: Base model arguments.
    """

    def __init__(self, model: keras.Model, logged: tuple[str, ...], **kwargs):
        super().__init__(model, **kwargs)
        self._logged = [keras.metrics.Mean(name=name) for name in logged]

    def log(self, *values: Any, weight: Any = None) -> None:
        """Takes a batch's figures, in the order of their names."""
        for metric, value in zip(self._logged, values, strict=True):
            metric.update_state(value, sample_weight=weight)

    def get_metrics_result(self) -> dict:
        """Returns the metrics, without those that measured nothing."""
        logs = super().get_metrics_result()
        # In a compiled step nothing is known; `test_step` knows.
        if is_eager():
            for metric in self._logged:
                if float(keras.ops.convert_to_numpy(metric.count)) == 0:
                    del logs[metric.name]
        return logs

    def test_step(self, *arguments: Any) -> Any:
        """Evaluates a batch."""
        found = super().test_step(*arguments)
        logs = found[0] if isinstance(found, tuple) else found  # JAX: state.
        for metric in self._logged:
            logs.pop(metric.name, None)
        return found
