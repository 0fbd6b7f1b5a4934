"""A learning rate that rises until training breaks, to choose one below."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from ..check_count import check_count
from ..stopping.best_state import BestState
from .learning_rates import rated_optimizers, schedule_of
from .range_test import smooth, steepest_rate, valley_rate


class LearningRateFinder(keras.callbacks.Callback):
    """Tests a range of learning rates in one short training.

    Use it before training, where nothing is known of a good learning rate: it
    costs `steps` updates, and a grid of rates costs whole trainings. The rate
    rises by the same factor from batch to batch, until the smoothed loss has
    grown to `stop_factor` times its lowest value, or is no number. `plot()`
    shows the curve, `suggestion()` reads a rate from it. Afterwards the model
    is as it was before, to the bit: weights, optimizer with its rates, seed
    generators; metrics are reset.

    Call `find`, or pass it to a `fit` with enough `epochs` for the steps,
    which it then ends. It is a callback of batches, so `fit_in_memory` hands
    the test to plain `fit`.

    Args:
        min_learning_rate: Float, larger than 0. The rate of the first batch.
            Defaults to `1e-6`.
        max_learning_rate: Float, larger than that. The rate of the last.
            Defaults to `10.0`.
        steps: Integer, 3 or more. The number of batches. Defaults to `100`.
        smoothing: Float in `[0, 1)`. How much of the loss is that of earlier
            batches. It delays the curve by about `smoothing / (1 - smoothing)`
            steps. Defaults to `0.9`.
        stop_factor: Float, larger than 1, or `math.inf` to stop only at what
            is no number. Defaults to `4.0`.

    Attributes:
        rates: List of the rates that were tried.
        losses: List of the losses of their batches, before the update.
        reason: Why the test ended; also `stop_reason` in `history.params`.

    Raises:
        ValueError: If an argument is outside its range; when training begins,
            if a schedule owns the optimizer's rate, if an execution or an
            update is of several batches (`steps_per_execution`,
            `gradient_accumulation_steps`), or if the model is not built.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(64, 4))
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> finder = LearningRateFinder(steps=50)
    >>> 0.001 < finder.find(model, x, x.sum(axis=1), batch_size=16) < 1
    True
    >>> round(float(model.optimizer.learning_rate), 3)
    0.01

    Reference:

    - Smith, "Cyclical learning rates for training neural networks",
      [2015](https://arxiv.org/abs/1506.01186), section 3.3. There the rate
      rises by the same amount, and the accuracy is read by eye. The moving
      average and the stop are those of the fast.ai library.
    """

    def __init__(
        self,
        min_learning_rate: float = 1e-6,
        max_learning_rate: float = 10.0,
        steps: int = 100,
        smoothing: float = 0.9,
        stop_factor: float = 4.0,
    ):
        super().__init__()
        if not 0 < min_learning_rate < max_learning_rate < math.inf:
            raise ValueError(
                "`min_learning_rate` must be larger than 0, and "
                "`max_learning_rate` larger than that. Received: "
                f"min_learning_rate={min_learning_rate}, "
                f"max_learning_rate={max_learning_rate}"
            )
        check_count("steps", steps, at_least=3)
        if not 0 <= smoothing < 1:
            raise ValueError(
                f"`smoothing` must be in [0, 1). Received: {smoothing=}"
            )
        if not stop_factor > 1:
            raise ValueError(
                f"`stop_factor` must be larger than 1. Received: {stop_factor=}"
            )
        self.min_learning_rate = min_learning_rate
        self.max_learning_rate = max_learning_rate
        self.steps = steps
        self.smoothing = smoothing
        self.stop_factor = stop_factor
        self.reset()

    def reset(self) -> None:
        """Forgets an earlier test."""
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.reason: str | None = None
        self._before = BestState(training_state=True)

    @property
    def smoothed(self) -> np.ndarray:
        """The smoothed losses, one for each rate."""
        return smooth(self.losses, self.smoothing)

    def rate(self, step: int) -> float:
        """Returns the rate of a step.

        Args:
            step: Integer, from 0.

        Returns:
            Float.
        """
        share = step / (self.steps - 1)
        span = self.max_learning_rate / self.min_learning_rate
        return self.min_learning_rate * span**share

    def evaluate(self, loss: float) -> tuple[bool, str | None]:
        """Notes the loss of the next step.

        Args:
            loss: Float. Its batch's loss.

        Returns:
            Whether the test ends here, and why, `None` if not.
        """
        rate = self.rate(len(self.losses))
        if not math.isfinite(loss):
            return True, f"the loss is {loss} at a learning rate of {rate:.3g}"
        self.rates.append(rate)
        self.losses.append(loss)
        smoothed = self.smoothed
        lowest = np.min(smoothed)
        # The distance, too, for losses below 0.
        if smoothed[-1] > lowest + (self.stop_factor - 1) * abs(lowest):
            return True, (
                f"the smoothed loss is {smoothed[-1]:.3g} at a learning rate "
                f"of {rate:.3g}, its lowest was {lowest:.3g}"
            )
        if len(self.losses) == self.steps:
            return True, f"all {self.steps} learning rates were tried"
        return False, None

    def suggestion(self, method: str = "valley") -> float:
        """Returns a rate to train with.

        Args:
            method: `"steepest"`, where the smoothed loss falls fastest, or
                `"valley"`, the middle of its longest descent. The first is
                the higher one, and the smoothing's delay can take it past
                what is stable; the second was too low for plain SGD in the
                recipe `learning_rate_range_test`. Defaults to `"valley"`.

        Returns:
            Float, one of the rates.
        """
        if method not in ("steepest", "valley"):
            raise ValueError(
                '`method` must be "steepest" or "valley". '
                f"Received: method={method!r}"
            )
        choose = steepest_rate if method == "steepest" else valley_rate
        return choose(self.rates, self.smoothed)  # type: ignore[arg-type]

    def find(
        self, model: keras.Model, x: Any, y: Any = None, **arguments: Any
    ) -> float:
        """Runs the test, and returns the rate that it suggests.

        Args:
            model: A compiled model.
            x: As for `fit`.
            y: As for `fit`.
            **arguments: More arguments of `fit`, such as `batch_size`. Not
                `epochs`: data are read as often as needed.

        Returns:
            Float. `suggestion()`.
        """
        callbacks = [*arguments.pop("callbacks", []), self]
        options = {"verbose": 0, **arguments}
        try:
            model.fit(x, y, epochs=self.steps, callbacks=callbacks, **options)
        finally:
            self._restore(model)
        return self.suggestion()

    def plot(self, ax: Any = None) -> Any:
        """Draws the losses, and what is suggested, over the rates.

        Args:
            ax: Matplotlib's `Axes` to draw into. Default: of a new figure.

        Returns:
            The `Axes`.
        """
        if ax is None:
            try:
                from matplotlib import pyplot
            except ImportError as error:
                raise ImportError(
                    "`plot` needs Matplotlib: "
                    "pip install 'keras-regimen[recipes]'"
                ) from error
            _, ax = pyplot.subplots()
        ax.plot(self.rates, self.losses, alpha=0.3, label="loss")
        ax.plot(self.rates, self.smoothed, label="smoothed")
        for method, color in (("steepest", "C2"), ("valley", "C3")):
            rate = self.suggestion(method)
            label = f"{method}: {rate:.3g}"
            ax.axvline(rate, color=color, linestyle="--", label=label)
        ax.set(xscale="log", xlabel="learning rate", ylabel="loss")
        ax.legend()
        return ax

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._check()
        self.reset()
        # Slots that are made later would be no part of what is put back.
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        self.model.reset_metrics()
        self._before.keep(self.model)
        if self.params is not None:
            # The very dictionary that `History` has.
            self.params["stop_reason"] = None

    def on_train_batch_begin(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        # Keras logs the mean over an epoch's batches so far.
        self.model.reset_metrics()
        rate = self.rate(len(self.losses))
        for optimizer in rated_optimizers(self.model.optimizer).values():
            optimizer.learning_rate = rate

    def on_train_batch_end(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        logs = logs or {}
        if "loss" not in logs:
            raise ValueError(
                "Training must log a `loss`. Received: "
                f"{', '.join(logs) or 'no logs'}"
            )
        stop, self.reason = self.evaluate(float(logs["loss"]))
        if stop:
            self.model.stop_training = True
            if self.params is not None:
                self.params["stop_reason"] = self.reason

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._restore(self.model)

    def _restore(self, model: keras.Model) -> None:
        if self._before.restore(model):
            model.reset_metrics()
            # Its copy of the model is of no more use.
            self._before = BestState(training_state=True)

    def _check(self) -> None:
        if not self.model.built:
            raise ValueError(
                "The model must be built before the test, so that it can be "
                "put back as it was: give it an `Input`. "
                f"Received: model={self.model.name}, not built"
            )
        if self.model.steps_per_execution != 1:
            raise ValueError(
                "Each batch must be one execution, so that it has a rate of "
                "its own: compile without `steps_per_execution`. Received: "
                f"steps_per_execution={self.model.steps_per_execution}"
            )
        for name, optimizer in rated_optimizers(self.model.optimizer).items():
            schedule = schedule_of(optimizer)
            if schedule is not None:
                raise ValueError(
                    "The optimizer must have a number for its rate, which "
                    "the test then raises: it has a schedule. Compile it "
                    f"with a number. Received: {name}={schedule!r}"
                )
            batches = getattr(optimizer, "gradient_accumulation_steps", None)
            if batches:
                raise ValueError(
                    "Each batch must be one update, so that it has a rate of "
                    "its own: test without gradient accumulation. Received: "
                    f"gradient_accumulation_steps={batches}"
                )
