"""A learning rate that follows a schedule from outside the optimizer."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from .learning_rates import rate_of, rated_optimizers, schedule_of


class LearningRateDecay(keras.callbacks.Callback):
    """Sets the learning rate by a schedule, for each epoch or each batch.

    Use it to let the rate follow a schedule of epochs, which a schedule in the
    optimizer, counting updates, cannot; or to put a schedule over an optimizer
    that is compiled already, and may have been trained. The rate is a function
    of the epoch's number, or of the updates that the optimizer has made, and
    of nothing else: so training that was interrupted and goes on has the rates
    of one that was not. Each epoch logs the rate that it ended with, as
    `learning_rate`.

    By the batch it costs a call to the device for each, and `fit_in_memory`
    hands training to plain `fit`. Where no earlier training has to go on,
    compile the optimizer with the schedule instead.

    Args:
        schedule: A Keras or Regimen schedule, or any other function from the
            number of an epoch or update, from 0, to a rate. All optimizers of
            a `MultiOptimizer` get that rate.
        unit: `"epoch"` or `"batch"`: what the schedule counts, and how often
            the rate is set. A batch that only accumulates gradients is no
            update. With `steps_per_execution` the rate is set as often as the
            model is called. Defaults to `"epoch"`.
        verbose: `1` to print each epoch's rate. Defaults to `0`.

    Raises:
        ValueError: If `schedule` is not callable or `unit` none of the two;
            when training begins, if the optimizer has a schedule of its own;
            in training, if the schedule returns anything but a finite number
            of 0 or more.

    Example:

    >>> from keras_regimen.custom_optimizers import StepDecay
    >>> decay = LearningRateDecay(StepDecay(0.5, steps=2))
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(
    ...     ops.ones((4, 2)), ops.ones((4, 1)), epochs=3, verbose=0,
    ...     callbacks=[decay],
    ... )
    >>> [round(rate, 3) for rate in history.history["learning_rate"]]
    [0.5, 0.5, 0.05]

    Reference:

    - Robbins and Monro, "A Stochastic Approximation Method", 1951, for why the
      rate must fall. Keras' `LearningRateScheduler` takes functions of the
      epoch alone, and calls whatever a schedule of updates returns a rate.
    """

    def __init__(
        self,
        schedule: Callable[[int], Any],
        unit: str = "epoch",
        verbose: int = 0,
    ):
        super().__init__()
        if not callable(schedule):
            raise ValueError(
                "`schedule` must be a function from a number to a rate, such "
                f"as a Keras schedule. Received: schedule={schedule!r}"
            )
        if unit not in ("epoch", "batch"):
            raise ValueError(
                f'`unit` must be "epoch" or "batch". Received: unit={unit!r}'
            )
        self.schedule = schedule
        self.unit = unit
        self.verbose = verbose
        if unit == "batch":
            # On the instance alone: a class with it would never train in
            # compiled epochs.
            self.on_train_batch_begin = self._on_batch

    def evaluate(self, count: int) -> float:
        """Returns the rate for an epoch or an update.

        Args:
            count: Integer, from 0.

        Returns:
            Float.
        """
        rate = self.schedule(count)
        value = ops.convert_to_numpy(rate)
        if value.size != 1 or not 0 <= value.item() < math.inf:
            raise ValueError(
                "`schedule` must return finite rates of 0 or more. Received: "
                f"{rate} for {self.unit} {count}"
            )
        return float(value.item())

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        for name, optimizer in rated_optimizers(self.model.optimizer).items():
            schedule = schedule_of(optimizer)
            if schedule is not None:
                raise ValueError(
                    "The optimizer must have a number for its rate, which "
                    "this callback then sets: it has a schedule already. "
                    f"Received: {name}={schedule!r}"
                )

    def on_epoch_begin(
        self, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        if self.unit == "epoch":
            self._set(self.evaluate(epoch))
            if self.verbose:
                rate = self._rates().popitem()[1]
                print(f"Epoch {epoch + 1}: learning rate {rate:.6g}.")

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if logs is not None:
            logs.update(self._rates())

    def _on_batch(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        iterations = ops.convert_to_numpy(self.model.optimizer.iterations)
        self._set(self.evaluate(int(iterations)))

    def _set(self, rate: float) -> None:
        for optimizer in rated_optimizers(self.model.optimizer).values():
            optimizer.learning_rate = rate

    def _rates(self) -> dict[str, float]:
        found = rated_optimizers(self.model.optimizer)
        return {name: rate_of(optimizer) for name, optimizer in found.items()}
