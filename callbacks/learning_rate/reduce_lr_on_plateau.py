"""A learning rate that falls when a metric no longer improves."""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import keras

from ..check_count import check_count
from ..stopping.monitored_metric import metric_direction, read_metric
from .learning_rates import rate_of, rated_optimizers, schedule_of
from .scaled_schedule import ScaledSchedule


class ReduceLROnPlateau(keras.callbacks.Callback):
    """Lowers the learning rate once a metric no longer improves.

    Use it instead of `keras.callbacks.ReduceLROnPlateau`, whose arguments it
    has, where the rate is a schedule (which Keras refuses: ours multiplies
    the schedule, at the price of compiling the training step again at each
    reduction), where training goes on in several calls of `fit`
    (`warm_start=True`), or where losses may be NaN. Wrappers of this library
    and `MultiOptimizer` work too: each optimizer's rate is lowered. The
    reasons of all reductions are in `reasons` and in
    `history.params["rate_reductions"]`, the rate is logged as
    `learning_rate`.

    Args:
        monitor: String. The metric's name in the logs. Defaults to
            `"val_loss"`.
        factor: Float in `(0, 1)`, what the rate is multiplied by. Defaults to
            `0.1`.
        patience: Integer, 0 or more. The rate is lowered after so many epochs
            in a row without an improvement; 0 acts as 1. Defaults to `10`.
        verbose: `1` for a message at each reduction. Defaults to `0`.
        mode: `"min"` if lower is better, `"max"` if higher, `"auto"` to be
            told by the model's metric or its name, as for `EarlyStopping`.
        min_delta: Float of 0 or more. An improvement must be larger than
            this. Defaults to `1e-4`.
        cooldown: Integer, 0 or more. So many epochs after a reduction are not
            counted. Defaults to `0`.
        min_lr: Float of 0 or more. No rate is set below this one. Where a
            schedule computes the rate, it bounds the rate of the reduction's
            epoch. Defaults to `0.0`.
        warm_start: Boolean. `True` goes on with the best value and the count
            of epochs of the last `fit`, as if it had never ended; `False`
            starts anew, as Keras does. Defaults to `False`.

    Raises:
        ValueError: If an argument is none of those, and, at the end of an
            epoch, if `monitor` is not logged or its mode cannot be told.

    Example:

    >>> plateau = ReduceLROnPlateau(patience=2)
    >>> [plateau.evaluate(loss)[0] for loss in (0.5, 0.6, 0.7, 0.4)]
    [False, False, True, False]

    Reference:

    - Keras' own callback. Ours differs where it raises instead of warning
      (unknown `mode`, metric that is not logged) and in never taking NaN for
      the best.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        warm_start: bool = False,
    ):
        super().__init__()
        if not 0 < factor < 1:
            raise ValueError(
                f"`factor` must be in (0, 1). Received: factor={factor}"
            )
        if mode not in ("auto", "min", "max"):
            raise ValueError(
                '`mode` must be "auto", "min" or "max". '
                f"Received: mode={mode!r}"
            )
        for name, value in (("min_delta", min_delta), ("min_lr", min_lr)):
            if not 0 <= value < math.inf:
                raise ValueError(
                    f"`{name}` must be a finite number of 0 or more. "
                    f"Received: {name}={value}"
                )
        check_count("patience", patience)
        check_count("cooldown", cooldown)
        self.monitor = monitor
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.mode = mode
        self.min_delta = min_delta
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.warm_start = warm_start
        self.reset()

    def reset(self) -> None:
        """Forgets all earlier epochs."""
        self.best: float | None = None
        self.wait = 0
        self.cooldown_counter = 0
        self.reasons: list[str] = []
        self._seen = False
        self._direction = None if self.mode == "auto" else self.mode

    def evaluate(self, current: float) -> tuple[bool, str | None]:
        """Judges the next epoch.

        Args:
            current: Float. The monitored value.

        Returns:
            Whether to lower the rate, and the reason, `None` if not.
        """
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(current):
            self.best = current
            self.wait = 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= max(self.patience, 1):
                epochs = self.wait
                self.wait = 0
                self.cooldown_counter = self.cooldown
                best = "NaN" if self.best is None else f"{self.best:.6g}"
                return True, (
                    f"`{self.monitor}` did not improve on {best} in "
                    f"{epochs} epochs"
                )
        return False, None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        if not self.warm_start:
            self.reset()
        if self.params is not None:
            # The very dictionary that `History` has.
            self.params.setdefault("rate_reductions", self.reasons)

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        logs = logs if logs is not None else {}
        optimizers = rated_optimizers(self.model.optimizer)
        logs.update({name: rate_of(o) for name, o in optimizers.items()})
        if self._direction is None:
            self._direction = metric_direction(self.monitor, self.model)
        # A metric that was there once comes and goes with `validation_freq`.
        if self._seen and self.monitor not in logs:
            return
        current = read_metric(
            self.monitor,
            logs,
            may_be_missing=True,
            remedy="pass `validation_data` to `fit`",
        )
        if current is None:
            return
        self._seen = True
        lower, reason = self.evaluate(current)
        if lower:
            self._lower(epoch, reason)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if not self._seen:
            warnings.warn(
                f"`{self.monitor}` was never logged, and the rate never "
                "judged: pass `validation_data` to `fit`.",
                stacklevel=2,
            )

    def _improves(self, value: float) -> bool:
        if self._direction is None:
            self._direction = metric_direction(self.monitor)
        if self._direction is None:
            raise ValueError(
                f"Nothing tells whether a lower or a higher `{self.monitor}` "
                'is better: pass `mode="min"` or `mode="max"`. Received: '
                f"monitor={self.monitor!r}, mode={self.mode!r}"
            )
        if self.best is None:
            return not math.isnan(value)
        if self._direction == "min":
            return value < self.best - self.min_delta
        return value > self.best + self.min_delta

    def _lower(self, epoch: int, reason: str | None) -> None:
        for name, optimizer in rated_optimizers(self.model.optimizer).items():
            rate = rate_of(optimizer)
            lowered = max(rate * self.factor, self.min_lr)
            if not lowered < rate:
                continue
            schedule = schedule_of(optimizer)
            if schedule is None:
                optimizer.learning_rate = lowered
            else:
                if isinstance(schedule, ScaledSchedule):
                    lowered *= schedule.factor
                    schedule = schedule.schedule
                factor = lowered / rate
                optimizer.learning_rate = ScaledSchedule(schedule, factor)
                # A compiled step knows the schedule that it was traced with.
                self.model.make_train_function(force=True)
            said = f"Epoch {epoch + 1}: {name} lowered to "
            said += f"{rate_of(optimizer):.6g}: {reason}"
            self.reasons.append(said)
            if self.verbose:
                print(f"{said}.", flush=True)
