"""Early stopping: end training when a metric no longer improves."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

from keras import ops

from ..check_count import check_count
from .monitored_metric import metric_direction
from .stopping_callback import StoppingCallback


class EarlyStopping(StoppingCallback):
    """Stops training once a metric no longer improves.

    Use it instead of `keras.callbacks.EarlyStopping`, whose arguments and
    attributes it has, wherever a net is trained until a validation metric
    turns. Beyond Keras' own: each stop has a reason, in `reason` and in
    `history.params["stop_reason"]`; NaN is never an improvement, nor does it
    hide later ones; the best epoch is kept on the device, not on the host,
    and is restored on Ctrl-C too (after the running batch and the validation
    that follows; a second Ctrl-C leaves at once) and, with `with stopper:`
    around `fit`, after any exception; a wrong argument or metric is an error.

    Args:
        monitor: String. The metric's name in the logs. Defaults to
            `"val_loss"`.
        min_delta: Float. An improvement must be larger than this. The sign is
            ignored. Defaults to `0`.
        patience: Integer, 0 or more. Training stops after so many monitored
            epochs in a row without an improvement; 0 acts as 1, `math.inf`
            never stops. Defaults to `0`.
        verbose: `0` for silence, `1` for a message with the reason of a stop
            and the epoch that is restored. Defaults to `0`.
        mode: `"min"` if lower is better, `"max"` if higher, `"auto"` to be
            told by the model's metric of that name or else by its last word:
            `loss` and `error` are minimized, `accuracy` is maximized.
            Defaults to `"auto"`.
        baseline: Optional float. Improvements count only beyond this value;
            until it is passed, `patience` runs.
        restore_best_weights: Boolean. Keras' name for `restore="weights"`.
            Defaults to `False`.
        start_from_epoch: Integer, 0 or more. Epochs before this one are
            neither judged nor kept. With `validation_freq=n`, pass `n - 1`.
            Defaults to `0`.
        restore: What to put back at the end of training from the best
            monitored epoch, however training ends. `"weights"`;
            `"training_state"`, which also brings back the optimizer's slots,
            iterations and learning rate, the metrics, the seed generators
            and, on PyTorch, its global random state, so that training on
            equals training that never went past (elsewhere the order of
            shuffled data apart); or `None`, by which `restore_best_weights`
            decides.

    Raises:
        ValueError: If an argument is none of those, if `restore` and
            `restore_best_weights` are both given, and, at the end of an
            epoch, if `monitor` is not logged or its mode cannot be told.

    Example:

    >>> stopper = EarlyStopping(patience=2, restore="weights")
    >>> [stopper.evaluate(loss)[0] for loss in (0.5, 0.4, 0.6, 0.4)]
    [False, False, False, True]
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(
    ...     ops.ones((4, 2)), ops.ones((4, 1)), epochs=50, verbose=0,
    ...     callbacks=[EarlyStopping("loss", min_delta=0.1, patience=3)],
    ... )
    >>> len(history.epoch) < 50
    True

    Reference:

    - Keras' own callback. Ours differs where it raises instead of warning
      (unknown `mode`, metric that is not logged), in never taking NaN for the
      best, and in keeping tensors, not arrays, in `best_weights`.
    - Goodfellow, Bengio and Courville, Deep Learning, 2016, algorithm 7.1.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: float = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
        restore: str | None = None,
    ):
        if restore is not None and restore_best_weights:
            raise ValueError(
                "Pass either `restore` or `restore_best_weights`, not both. "
                f"Received: restore={restore!r}, "
                f"restore_best_weights={restore_best_weights}"
            )
        _check_number("min_delta", min_delta)
        if patience != math.inf:
            check_count("patience", patience)
        check_count("start_from_epoch", start_from_epoch)
        if mode not in ("auto", "min", "max"):
            raise ValueError(
                '`mode` must be "auto", "min" or "max". '
                f"Received: mode={mode!r}"
            )
        if baseline is not None:
            _check_number("baseline", baseline)
        self.min_delta = abs(min_delta)
        self.patience = patience
        self.mode = mode
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        super().__init__(
            monitor, "weights" if restore_best_weights else restore, verbose
        )

    def reset(self) -> None:
        super().reset()
        self.wait = 0
        self.monitor_op = _OPERATIONS.get(self.mode)

    def evaluate(self, current: float) -> tuple[bool, str | None]:
        """Judges the next monitored epoch.

        Args:
            current: Float. The monitored value.

        Returns:
            Whether to stop, and the reason, `None` without a stop.
        """
        self._tell_mode()
        self.wait += 1
        if self._improves(current, self.best):
            self.best = current
            if self._improves(current, self.baseline):
                self.wait = 0
            return False, None
        # The first value has nothing to improve on and sets the mark: it is
        # no epoch without an improvement, even if it is NaN and sets none.
        allowed = max(self.patience, 1) + (self.best is None)
        if self.wait < allowed:
            return False, None
        return True, self._reason()

    def _judge(
        self, epoch: int, logs: Mapping[str, Any]
    ) -> tuple[bool, str | None]:
        warm_up = epoch < self.start_from_epoch
        current = self._read_monitor(
            logs,
            may_be_missing=warm_up,
            remedy="pass `validation_data` to `fit`, and with "
            "`validation_freq=n` pass `start_from_epoch=n - 1`",
        )
        self._tell_mode()
        if current is None or warm_up:
            return False, None
        return self.evaluate(current)

    def _improves(self, value: float, reference: float | None) -> bool:
        if reference is None:
            return not math.isnan(value)
        if self.monitor_op is ops.less:
            return value + self.min_delta < reference
        return value - self.min_delta > reference

    def _reason(self) -> str:
        if self.best is None:
            return f"`{self.monitor}` was NaN in {self.wait} epochs"
        mark = f"its best, {self.best:.6g},"
        if not self._improves(self.best, self.baseline):
            mark = f"the baseline, {self.baseline:.6g},"
        margin = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return (
            f"`{self.monitor}` did not improve on {mark}{margin} in "
            f"{self.wait} epochs"
        )

    def _tell_mode(self) -> None:
        if self.monitor_op is not None:
            return
        direction = metric_direction(self.monitor, self.model)
        if direction is None:
            raise ValueError(
                f"Nothing tells whether a lower or a higher `{self.monitor}` "
                'is better: pass `mode="min"` or `mode="max"`. Received: '
                f"monitor={self.monitor!r}, mode={self.mode!r}"
            )
        self.monitor_op = _OPERATIONS[direction]


# Keras' users compare `monitor_op` with these.
_OPERATIONS = {"min": ops.less, "max": ops.greater}


def _check_number(name: str, value: Any) -> None:
    if not isinstance(value, Real) or math.isnan(value):
        raise ValueError(f"`{name}` must be a number. Received: {name}={value}")
