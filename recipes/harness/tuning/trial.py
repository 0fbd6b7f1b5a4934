"""One point of a search, and what its runs scored."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..engine.cell import Cell


@dataclass
class Trial:
    """A point that an oracle asked for.

    Args:
        number: String. The oracle's number of it.
        values: What is searched, by name.
        cells: One for each seed.
        scores: Of the runs that are finished, by the cell's id.
        ended: Whether a run of it was ended for being hopeless.
    """

    number: str
    values: Mapping[str, Any]
    cells: tuple[Cell, ...]
    scores: dict[str, float] = field(default_factory=dict)
    ended: bool = False

    @property
    def finished(self) -> bool:
        return len(self.scores) == len(self.cells)

    @property
    def score(self) -> float:
        """The mean over all runs; NaN before, or if one has no score."""
        if not self.finished:
            return math.nan
        return sum(self.scores.values()) / len(self.scores)

    @property
    def epochs(self) -> int:
        """What Hyperband let it train, 0 elsewhere."""
        budget = self.cells[0].budget
        return (budget and budget.epochs) or 0

    def to_json(self, arm: str, cell: Cell, status: str) -> dict[str, Any]:
        """Returns the record of one of its runs, finished or not."""
        record = {
            "arm": arm,
            "trial": self.number,
            "hyperparameters": dict(self.values),
            "seed": cell.seed,
            "score": self.scores.get(cell.id, math.nan),
            "status": status,
        }
        return record | ({"epochs": self.epochs} if self.epochs else {})
