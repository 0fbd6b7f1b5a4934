"""Averaged weights for validation, the others for training."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from ...custom_models.training_step import snapshot
from ...custom_optimizers.averaged_weights import AveragedWeights
from ..learning_rate.learning_rates import optimizers_within


class SwapAveragedWeights(keras.callbacks.Callback):
    """Validates, and lets others keep, the averages of the weights.

    Use it with an optimizer that trains some weights and averages others:
    `PolyakAveraging`, `ScheduleFreeSGD`, `ScheduleFreeAdamW` or any Keras
    optimizer with `use_ema=True`. Without it, validation during `fit` and the
    best weights of `EarlyStopping` or `ModelCheckpoint` are those in training,
    and only the end of `fit` writes the averages into the model.

    The averages are in the model from an epoch's validation to the end of its
    `on_epoch_end`, and the weights in training are back, to the bit, when the
    next epoch begins. Without validation data they are swapped in
    `on_epoch_end` itself, so put this callback before those that look at the
    weights. Passed to `evaluate` or `predict`, it swaps for that call alone.
    Averages of batch normalization belong to the weights in training.

    Raises:
        ValueError: If the optimizer averages no weights.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.1, use_ema=True), "mse")
    >>> x, y = np.eye(2), np.ones(2)
    >>> history = model.fit(
    ...     x, y, epochs=2, validation_data=(x, y), verbose=0,
    ...     callbacks=[SwapAveragedWeights()],
    ... )
    >>> found = model.evaluate(x, y, verbose=0)
    >>> abs(found - history.history["val_loss"][-1]) < 1e-6
    True

    Reference:

    - Polyak and Juditsky, "Acceleration of stochastic approximation by
      averaging", 1992. Keras' `SwapEMAWeights` knows `use_ema` alone, and
      leaves the averages in the model after `predict`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._training = False
        self._kept: list[tuple[Any, Any]] = []

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        # What an interrupted `fit` has left.
        self._swap_out()
        self._check()
        self._training = True

    def on_epoch_begin(
        self, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        self._swap_out()

    def on_epoch_end(
        self, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        self._swap_in()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        # The averages stay, as `fit` wants it.
        self._kept = []
        self._training = False

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._swap_in()

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if not self._training:
            self._swap_out()

    def on_predict_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._swap_in()

    def on_predict_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if not self._training:
            self._swap_out()

    def _averaging(self) -> list[Any]:
        return [
            optimizer
            for optimizer in optimizers_within(self.model.optimizer)
            if isinstance(optimizer, AveragedWeights) or optimizer.use_ema
        ]

    def _check(self) -> None:
        if not self._averaging():
            raise ValueError(
                "The optimizer must average weights: `PolyakAveraging`, a "
                "schedule-free one or a Keras optimizer with `use_ema=True`. "
                f"Received: optimizer={self.model.optimizer.name}"
            )

    def _swap_in(self) -> None:
        optimizer = self.model.optimizer
        # Before the first step there is nothing to swap.
        if self._kept or not optimizer.built:
            return
        self._check()
        weights = self.model.trainable_variables
        flags = [
            variable
            for part in self._averaging()
            for variable in getattr(part, "variables_of_the_swap", ())
        ]
        self._kept = snapshot([*weights, *flags])
        optimizer.finalize_variable_values(weights)
        for weight in weights:
            # With `use_ema`, weight and average are one array on JAX now,
            # which can be given to the next step but once.
            weight.assign(ops.copy(weight.value))

    def _swap_out(self) -> None:
        for variable, value in self._kept:
            variable.assign(value)
        self._kept = []
