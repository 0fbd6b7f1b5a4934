"""Where monitors write: the history of `fit`, a table, TensorBoard."""

import csv as csv_files
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from .event_file import EventFile


class MonitorLog:
    """Writes what a monitor measures.

    Each figure gets an entry for each epoch in `History`, NaN where nothing
    was measured, so that all curves are as long as the loss'. They go there
    directly and not through the logs of the epoch's end: the progress bar
    would print them all, and Keras' `CSVLogger` breaks down where a name comes
    and goes.

    Args:
        csv: Optional path of a table, a row for each measurement. It is
            replaced by a training that begins with epoch 0, and goes on in
            one that begins later.
        log_dir: Optional path of a folder for TensorBoard.

    Example:

    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.history = keras.callbacks.History()
    >>> log = MonitorLog()
    >>> log.begin(model)
    >>> log.write(0, ["sharpness_ratio"], {"sharpness_ratio": 0.5})
    >>> model.history.history
    {'sharpness_ratio': [0.5]}
    """

    def __init__(
        self,
        csv: str | os.PathLike | None = None,
        log_dir: str | os.PathLike | None = None,
    ):
        self.csv = None if csv is None else Path(csv)
        self.log_dir = log_dir
        self._model: Any = None
        self._earlier = 0
        self._events: EventFile | None = None

    def begin(self, model: Any) -> None:
        """Begins with a training of `model`."""
        self._model, self._events = model, None
        # Epochs of an earlier training, where its `History` is used again.
        history = self._history()
        curves = history.history if history is not None else {}
        self._earlier = max(map(len, curves.values()), default=0)

    def write(
        self, epoch: int, names: Sequence[str], figures: Mapping[str, float]
    ) -> None:
        """Writes an epoch.

        Args:
            epoch: Integer, from 0.
            names: Sequence of all names of figures, the same for each epoch.
            figures: Mapping from these names to numbers, empty for an epoch
                in which nothing was measured.
        """
        row = [float(figures.get(name, math.nan)) for name in names]
        self._extend_curves(epoch, names, row)
        if not figures:
            return
        if self.csv is not None:
            self._write_row(self.csv, epoch, names, row)
        if self.log_dir is not None:
            if self._events is None:
                self._events = EventFile(self.log_dir)
            self._events.write(epoch, dict(zip(names, row, strict=True)))

    def _history(self) -> keras.callbacks.History | None:
        # Without one, as in a loop of one's own, there is nothing to extend.
        found = getattr(self._model, "history", None)
        return found if isinstance(found, keras.callbacks.History) else None

    def _extend_curves(
        self, epoch: int, names: Sequence[str], row: list[float]
    ) -> None:
        history = self._history()
        if history is None:
            return
        # Keras' own callback may come before this one or after it.
        noted = getattr(history, "epoch", [])
        before = self._earlier + len(noted) - (noted[-1:] == [epoch])
        for name, figure in zip(names, row, strict=True):
            curve = history.history.setdefault(name, [])
            curve += [math.nan] * (before - len(curve)) + [figure]

    def _write_row(
        self, path: Path, epoch: int, names: Sequence[str], row: list[float]
    ) -> None:
        fresh = epoch == 0 or not path.is_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if fresh else "a", newline="") as file:
            table = csv_files.writer(file)
            if fresh:
                table.writerow(["epoch", *names])
            table.writerow([epoch, *row])
