"""The mean of the weights at the ends of epochs."""

import math
import warnings
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import keras
from keras import ops

from ...custom_models.reestimate_batch_normalization import (
    _KINDS,
    reestimate_in_place,
)
from ...custom_models.training_step import snapshot
from ...custom_optimizers.averaged_weights import AveragedWeights
from ..anneal import layers_of
from ..check_count import check_count
from ..learning_rate.learning_rate_decay import LearningRateDecay
from ..learning_rate.learning_rates import optimizers_within
from .swap_averaged_weights import SwapAveragedWeights


class StochasticWeightAveraging(SwapAveragedWeights):
    """Ends training with the mean of the weights of its late epochs.

    Use it with a learning rate that stays high, or goes up and down: weights
    then move around a wide minimum, and their mean is near its middle. It is
    kept where the weights live, one copy of them.

    As with `SwapAveragedWeights`, the mean is in the model from an epoch's
    validation to the end of its `on_epoch_end`, so that other callbacks judge
    and keep it, and the weights in training are back, to the bit, when the
    next epoch begins; at the end of `fit` the mean stays. Passed to `evaluate`
    or `predict`, it swaps for that call alone. Only trainable weights are
    averaged. The moving statistics of batch normalization belong to the weights
    in training: they are estimated anew, on `x`, each time that the mean is
    swapped in.

    Each `fit` takes a mean of its own.

    Args:
        start_epoch: Integer, 0 or more. The first epoch, from 0, of the
            averaging phase. In the paper three quarters of the epochs come
            before.
        period: Integer, 1 or more. The mean takes the weights at the end of
            each so many epochs of the phase, such as each cycle of a learning
            rate. Defaults to `1`.
        learning_rate: The rate in that phase: a float, or a function from the
            number of an epoch in the phase, from 0, to a rate, such as a
            cyclical schedule. `None` leaves it as it is. Defaults to `None`.
        x: Inputs for batch normalization, which needs them: arrays, or batches
            in anything that can be iterated again and again, as for
            `reestimate_batch_normalization`. A sample of the training data
            will do. Defaults to `None`.
        batch_size: Integer, 1 or more. Samples per call for `x`. Defaults to
            `128`.
        swap: Boolean. `False` leaves the weights in training in the model
            until the end of `fit`, and saves the estimates of each epoch.
            Defaults to `True`.

    Attributes:
        count: How many epochs the mean is of.

    Raises:
        ValueError: If an argument is none of those; when training begins, if
            the model has batch normalization and `x` is `None`, if it is not
            built, if the optimizer averages weights itself, or has a schedule
            where `learning_rate` is given.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> averaging = StochasticWeightAveraging(start_epoch=3)
    >>> history = model.fit(
    ...     np.eye(2), np.ones(2), epochs=8, verbose=0, callbacks=[averaging]
    ... )
    >>> averaging.count
    5

    Reference:

    - Izmailov, Podoprikhin, Garipov, Vetrov and Wilson, "Averaging Weights
      Leads to Wider Optima and Better Generalization",
      [2018](https://arxiv.org/abs/1803.05407), algorithm 1. There a cyclical
      rate falls with each batch, here with each epoch (`LearningRateDecay` by
      the batch does it as well), and batch normalization is estimated in one
      pass, here layer by layer, exactly.
    """

    def __init__(
        self,
        start_epoch: int,
        period: int = 1,
        learning_rate: float | Callable[[int], Any] | None = None,
        x: Any = None,
        batch_size: int = 128,
        swap: bool = True,
    ):
        super().__init__()
        check_count("start_epoch", start_epoch)
        check_count("period", period, at_least=1)
        check_count("batch_size", batch_size, at_least=1)
        is_rate = isinstance(learning_rate, Real) and (
            0 <= learning_rate < math.inf
        )
        if not (is_rate or learning_rate is None or callable(learning_rate)):
            raise ValueError(
                "`learning_rate` must be a finite number of 0 or more, a "
                "function from an epoch to a rate, or None. "
                f"Received: {learning_rate=}"
            )
        self.start_epoch = start_epoch
        self.period = period
        self.learning_rate = learning_rate
        self.x = x
        self.batch_size = batch_size
        self.swap = swap
        self.count = 0
        self._means: list[Any] = []
        self._due = False
        self._normalized = False
        self._decay: LearningRateDecay | None = None
        if callable(learning_rate):
            self._decay = LearningRateDecay(learning_rate)
        elif learning_rate is not None:
            self._decay = LearningRateDecay(lambda _: learning_rate)

    def counts(self, epoch: int) -> bool:
        """Returns whether the mean takes the weights at an epoch's end.

        Args:
            epoch: Integer, from 0.

        Returns:
            Boolean.
        """
        passed = epoch + 1 - self.start_epoch
        return passed > 0 and passed % self.period == 0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        self.count = 0
        self._means = []
        self._due = False
        if self._decay is not None:
            self._decay.set_model(self.model)
            self._decay.on_train_begin()

    def on_epoch_begin(
        self, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        super().on_epoch_begin(epoch, logs)
        self._due = self.counts(epoch)
        if self._decay is not None and epoch >= self.start_epoch:
            self._decay.on_epoch_begin(epoch - self.start_epoch)

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        # Validation comes between an epoch's last step and its end.
        self._take()
        if self.swap or not self._training:
            super().on_test_begin(logs)

    def on_epoch_end(  # type: ignore[override]
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        self._take()
        if self.swap:
            super().on_epoch_end(epoch, logs)
        if self._decay is not None:
            self._decay.on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if not self.count:
            warnings.warn(
                "Training ended before the mean took any weights, and the "
                f"model has its last ones: start_epoch={self.start_epoch}, "
                f"period={self.period}.",
                stacklevel=2,
            )
        self._swap_in()
        super().on_train_end(logs)

    def _take(self) -> None:
        if not self._due:
            return
        self._due = False
        weights = [_at_full_precision(w) for w in self.model.trainable_weights]
        self.count += 1
        if self.count == 1:
            self._means = weights
            return
        self._means = [
            mean + (weight - mean) / self.count
            for mean, weight in zip(self._means, weights, strict=True)
        ]

    def _swap_in(self) -> None:
        # Before the first epoch that counts there is nothing to swap.
        if self._kept or not self.count:
            return
        self._kept = snapshot(self.model.weights)
        for weight, mean in zip(
            self.model.trainable_weights, self._means, strict=True
        ):
            # A copy: JAX gives the variable's own array to the next step.
            weight.assign(ops.copy(ops.cast(mean, weight.dtype)))
        if self._normalized:
            self._reestimate()

    def _reestimate(self) -> None:
        # A recurrent layer with dropout draws at inference, too.
        weights = set(map(id, self.model.weights))
        others = snapshot(
            [v for v in self.model.variables if id(v) not in weights]
        )
        reestimate_in_place(self.model, self.x, self.batch_size)
        for variable, value in others:
            variable.assign(value)

    def _check(self) -> None:
        if not self.model.built:
            raise ValueError(
                "The model must be built before `fit`: give it an `Input`. "
                f"Received: model={self.model.name}, not built"
            )
        for optimizer in optimizers_within(self.model.optimizer):
            if isinstance(optimizer, AveragedWeights) or optimizer.use_ema:
                raise ValueError(
                    "The optimizer must not average weights itself, as the "
                    "model can end with one of the averages: use "
                    "`SwapAveragedWeights` with it. Received: "
                    f"optimizer={optimizer.name}"
                )
        self._normalized = any(
            isinstance(layer, _KINDS) for layer in layers_of(self.model)
        )
        if self._normalized and self.x is None:
            raise ValueError(
                "`x` must be given for a model with batch normalization, "
                "whose statistics are not those of the averaged weights. "
                "Received: x=None"
            )


def _at_full_precision(variable: keras.Variable) -> Any:
    dtype = keras.backend.result_type(variable.dtype, "float32")
    # A copy, for a value is live on TensorFlow and PyTorch, and without the
    # graph that PyTorch would keep of all epochs.
    return ops.copy(ops.cast(ops.stop_gradient(variable.value), dtype))
