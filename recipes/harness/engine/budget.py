"""What a search allows a cell, beside its hyperparameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The name of a score that a HyperModel's own `fit` returns.
OBJECTIVE = "objective"


@dataclass(frozen=True)
class Budget:
    """How long a trial may train, and where it goes on from.

    Args:
        epochs: Optional integer. Epochs in place of the recipe's own.
        watched: Optional string. The validation curve whose hopeless runs
            are ended.
        better: `"min"` or `"max"`: which way the watched curve is better.
        medians: Floats, one an epoch. A run whose best so far is worse than
            its epoch's is ended. Empty: none is.
        folder: Optional string. Where states of training are kept. Not part
            of a cell's identity: going on equals training from the start.
        start: Optional string. The cell whose kept state is gone on from,
            where it is found.
        start_epochs: Integer. The epochs that this one was trained for.

    Example:

    >>> Budget(epochs=9, folder="/tmp", start="0f3a").identity()
    {'epochs': 9}
    """

    epochs: int | None = None
    watched: str | None = None
    better: str = "min"
    medians: Sequence[float] = ()
    folder: str | None = None
    start: str | None = None
    start_epochs: int = 0

    def identity(self) -> dict[str, Any]:
        """Returns what a cell's numbers depend on."""
        identity: dict[str, Any] = {}
        if self.epochs is not None:
            identity["epochs"] = self.epochs
        if self.medians:
            identity |= {
                "watched": self.watched,
                "better": self.better,
                "medians": list(self.medians),
            }
        return identity


def state_file(folder: Path, cell: str) -> Path:
    """Returns the file of a cell's kept state.

    Args:
        folder: Where states are kept.
        cell: String. The cell's id.
    """
    return folder / f"{cell}.state.npz"
