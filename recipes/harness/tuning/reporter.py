"""What is told while a search goes on."""

from collections.abc import Mapping
from typing import Any, Protocol

from ..engine.cell import Cell
from ..engine.news import News
from ..engine.plan import Plan
from .goal import Goal


class Reporter(Protocol):
    """What is told while a search goes on; a terminal shows it.

    First `planned`, then `expected` whenever it is known better how many runs
    are still to be finished, and how much work they are. A run is `started`
    when it is handed to a worker, which may have another one before it;
    `heard` of, by a thread of the engine's, when it really begins and as it
    trains; then `finished`, and `scored` for each trial that it is of.
    """

    def planned(self, plan: Plan, pending: int) -> None: ...

    def expected(self, runs: int, work: float) -> None: ...

    def started(self, cell: Cell) -> None: ...

    def heard(self, execution: Mapping[str, Any], news: News) -> None: ...

    def finished(self, row: Mapping[str, Any]) -> None: ...

    def scored(self, execution: Mapping[str, Any], goal: Goal) -> None: ...


class Silent:
    """Tells nothing."""

    def planned(self, plan: Plan, pending: int) -> None:
        pass

    def expected(self, runs: int, work: float) -> None:
        pass

    def started(self, cell: Cell) -> None:
        pass

    def heard(self, execution: Mapping[str, Any], news: News) -> None:
        pass

    def finished(self, row: Mapping[str, Any]) -> None:
        pass

    def scored(self, execution: Mapping[str, Any], goal: Goal) -> None:
        pass
