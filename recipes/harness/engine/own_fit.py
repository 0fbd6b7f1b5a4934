"""A KerasTuner HyperModel's own `fit`, recorded as any other."""

import contextlib
import io
import time
from typing import Any

import keras

from ..refusal import RefusalError
from .budget import OBJECTIVE
from .fitting import Fitting


def fit_own(
    own_fit: Any,
    hp: Any,
    model: keras.Model,
    fitting: Fitting,
) -> dict[str, float]:
    """Calls a HyperModel's `fit` as KerasTuner does, and records its epochs.

    Args:
        own_fit: Function `(hp, model, x, y, **arguments)` that calls it.
        hp: The trial's hyperparameters.
        model: The model that `build` returned.
        fitting: Where the history is written.

    Returns:
        The figures that it returned by name; a single number is the
        objective, to be minimized.
    """
    x, y = fitting.splits.train
    watch = _Curves()
    # A worker's progress bars would be drawn over the search's own table.
    with contextlib.redirect_stdout(io.StringIO()):
        outcome = own_fit(
            hp,
            model,
            x,
            y,
            validation_data=fitting.splits.validation,
            callbacks=[watch, *fitting.watchers()],
            epochs=fitting.epochs,
        )
    fitting.jit = bool(model.jit_compile)
    fitting.plain_fit = "the model brings a `fit` of its own"
    if isinstance(outcome, list | tuple):
        # KerasTuner takes a list for executions; here a seed is one.
        outcome = outcome[-1] if len(outcome) == 1 else _refused(outcome)
    if isinstance(outcome, keras.callbacks.History) and not watch.seconds:
        watch.curves = dict(outcome.history)
        watch.seconds = [0.0] * len(outcome.epoch)
    fitting.record(watch.curves, watch.seconds)
    if isinstance(outcome, dict):
        return {name: float(value) for name, value in outcome.items()}
    if outcome is None or isinstance(outcome, keras.callbacks.History):
        return {}
    try:
        return {OBJECTIVE: float(outcome)}
    except (TypeError, ValueError):
        return _refused(outcome)


def _refused(outcome: Any) -> Any:
    raise RefusalError(
        "a HyperModel's `fit` must return a History, a number to be "
        f"minimized, or a dictionary. Received: {type(outcome).__name__}"
    )


class _Curves(keras.callbacks.Callback):
    """What each epoch logged, whatever the HyperModel returns."""

    def __init__(self) -> None:
        super().__init__()
        self.curves: dict[str, list[float]] = {}
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = time.process_time()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, value in (logs or {}).items():
            curve = self.curves.setdefault(name, [])
            curve += [float("nan")] * (len(self.seconds) - len(curve))
            curve.append(float(value))
        self.seconds.append(time.process_time() - self._started)
