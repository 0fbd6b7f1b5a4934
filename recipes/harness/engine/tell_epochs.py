"""Tells after epochs how a cell fares."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from .news import Teller


class TellEpochs(keras.callbacks.Callback):
    """Tells after the first epoch, and after others when news are due.

    Args:
        teller: Of the cell.
        curves: What the cell's earlier epochs logged, by name.
        done: Integer. How many those were.
        steps_per_epoch: Integer. Updates of an epoch.
    """

    def __init__(
        self,
        teller: Teller,
        curves: Mapping[str, Sequence[float]],
        done: int,
        steps_per_epoch: int,
    ):
        super().__init__()
        self._teller = teller
        self._curves = {name: list(curve) for name, curve in curves.items()}
        self._done = done
        self._steps_per_epoch = steps_per_epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, value in (logs or {}).items():
            curve = self._curves.setdefault(name, [])
            curve += [math.nan] * (self._done - len(curve))
            # A log that is no number is not ours to complain of.
            with contextlib.suppress(TypeError, ValueError):
                curve.append(float(value))
        self._done += 1
        if self._teller.due:
            self._teller.tell(self._done, self._epochs(epoch), self._row())

    def _epochs(self, epoch: int) -> int | None:
        """Returns all epochs of the cell that are known of."""
        last = (self.params or {}).get("epochs")
        return None if last is None else self._done + last - epoch - 1

    def _row(self) -> dict[str, Any]:
        """Returns the cell's row as if it ended now.

        Without test data, and what only an evaluation after training tells.
        """
        validation = {
            name: curve[-1]
            for name, curve in self._curves.items()
            if name.startswith("val_")
        }
        return {
            "curves": self._curves,
            "final": validation,
            "steps_per_epoch": self._steps_per_epoch,
        }
