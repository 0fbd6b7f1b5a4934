"""Ends a run that is worse than half of the finished ones."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from .median_rule import is_hopeless


class EndHopeless(keras.callbacks.Callback):
    """Stops training once it is hopeless.

    Args:
        watched: String. A name in the logs, such as `"val_loss"`.
        medians: Floats, one an epoch.
        better: `"min"` or `"max"`.

    Attributes:
        ended: Optional dictionary: the epoch, counted from one, the best
            figure until then and the median that it missed.
    """

    def __init__(self, watched: str, medians: Sequence[float], better: str):
        super().__init__()
        self.watched = watched
        self.medians = medians
        self.better = better
        self.ended: dict[str, Any] | None = None
        self._curve: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        value = (logs or {}).get(self.watched)
        if value is None:
            return
        self._curve.append(float(value))
        if not is_hopeless(self._curve, self.medians, self.better):
            return
        finite = [v for v in self._curve if math.isfinite(v)]
        pick = min if self.better == "min" else max
        self.ended = {
            "epoch": len(self._curve),
            "best": pick(finite, default=math.nan),
            "median": self.medians[len(self._curve) - 1],
        }
        self.model.stop_training = True
