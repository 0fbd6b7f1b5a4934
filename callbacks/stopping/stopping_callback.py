"""What the callbacks that stop training have in common."""

import logging
from collections.abc import Mapping
from typing import Any

import keras

from .best_state import BestState
from .deferred_interrupt import DeferredInterrupt
from .monitored_metric import read_metric


class StoppingCallback(keras.callbacks.Callback):
    """Base of the callbacks that stop training and keep its best epoch.

    A subclass decides, in a method `evaluate` that is fed with values, needs
    no model, moves `best` when an epoch is the best so far, and returns
    whether to stop and why; its `_judge(epoch, logs)` reads these values from
    the logs and calls `evaluate`. All else is here: keeping the best epoch's
    state and putting it back at the end of training, at Ctrl-C and, as
    `with stopper:` around `fit`, at any exception; telling the reason.

    It has no hook that runs per batch or around validation, so that
    `fit_in_memory` compiles whole epochs, and works in any loop that calls
    the hooks of `keras.callbacks.CallbackList` and obeys
    `model.stop_training`.

    Args:
        monitor: String. The metric's name in the logs.
        restore: `None`, `"weights"` or `"training_state"`: what of the best
            epoch is put back.
        verbose: `0` for silence, `1` for messages.

    Raises:
        ValueError: If an argument is none of those.
    """

    def __init__(self, monitor: str, restore: str | None, verbose: int):
        super().__init__()
        if not isinstance(monitor, str) or not monitor:
            raise ValueError(
                "`monitor` must be the name of a logged metric, such as "
                f'"val_loss". Received: monitor={monitor!r}'
            )
        if restore not in (None, "weights", "training_state"):
            raise ValueError(
                '`restore` must be None, "weights" or "training_state". '
                f"Received: restore={restore!r}"
            )
        self.monitor = monitor
        self.restore = restore
        self.verbose = verbose
        self._interrupt: DeferredInterrupt | None = None
        self.reset()

    def _judge(
        self, epoch: int, logs: Mapping[str, Any]
    ) -> tuple[bool, str | None]:
        raise NotImplementedError

    def reset(self) -> None:
        """Forgets all earlier epochs, as the start of a training does."""
        self.best: float | None = None
        self.best_epoch = 0
        self.stopped_epoch = 0
        self.reason: str | None = None
        self._seen = False
        self._best_state = BestState(self.restore == "training_state")

    @property
    def best_weights(self) -> Any:
        """The kept weights, as tensors in the order of `get_weights()`.

        Their memory is used again at the next improvement.
        """
        return self._best_state.weights

    @best_weights.setter
    def best_weights(self, weights: Any) -> None:
        # Keras' own is a plain attribute, which its users may set.
        self._best_state.weights = weights

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.reset()
        self._forget_interrupt()
        if self.params is not None:
            # The very dictionary that `History` has.
            self.params.setdefault("stop_reason", None)
        if self.restore:
            self._interrupt = DeferredInterrupt(self.model)

    def on_epoch_end(
        self, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        if self._interrupt is not None and self._interrupt.pending:
            self._finish()
        best = self.best
        stop, reason = self._judge(epoch, logs or {})
        if self.best != best:
            self.best_epoch = epoch
            if self.restore:
                self._best_state.keep(self.model)
        if stop:
            self.stopped_epoch = epoch
            self.reason = reason
            if self.params is not None:
                self.params["stop_reason"] = reason
            self.model.stop_training = True

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self.reason is not None:
            self._say(
                f"Epoch {self.stopped_epoch + 1}: early stopping: {self.reason}"
            )
        self._finish()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback) -> None:
        # A training that ended in order has put its best epoch back already.
        if error is not None and self._interrupt is not None:
            self._restore_best()
        self._forget_interrupt()

    def _finish(self) -> None:
        self._restore_best()
        interrupt = self._interrupt
        self._forget_interrupt()
        if interrupt is not None:
            interrupt.raise_pending()

    def _forget_interrupt(self) -> None:
        if self._interrupt is not None:
            self._interrupt.remove()
        self._interrupt = None

    def _restore_best(self) -> None:
        if not self.restore:
            return
        if self._best_state.restore(self.model):
            what = self.restore.replace("_", " ")
            self._say(
                f"Restoring model {what} from the end of the best epoch: "
                f"{self.best_epoch + 1}."
            )
        else:
            self._say(f"No epoch had a usable `{self.monitor}` to restore.")

    def _read_monitor(
        self, logs: Mapping[str, Any], may_be_missing: bool, remedy: str
    ) -> float | None:
        # A metric that was there once comes and goes with `validation_freq`.
        if self._seen and self.monitor not in logs:
            return None
        value = read_metric(self.monitor, logs, may_be_missing, remedy)
        self._seen = value is not None
        return value

    def _say(self, message: str) -> None:
        if not self.verbose:
            return
        if keras.config.is_interactive_logging_enabled():
            print(message, flush=True)
        else:
            logging.getLogger(__name__).info(message)
