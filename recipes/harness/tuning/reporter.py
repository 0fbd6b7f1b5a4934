"""What is told while a search goes on."""

from collections.abc import Mapping
from typing import Any, Protocol

from ..engine.cell import Cell
from ..engine.plan import Plan
from .goal import Goal


class Reporter(Protocol):
    """What is told while a search goes on; a terminal shows it."""

    def planned(self, plan: Plan, pending: int) -> None: ...

    def started(self, cell: Cell) -> None: ...

    def finished(self, row: Mapping[str, Any]) -> None: ...

    def scored(self, execution: Mapping[str, Any], goal: Goal) -> None: ...


class Silent:
    """Tells nothing."""

    def planned(self, plan: Plan, pending: int) -> None:
        pass

    def started(self, cell: Cell) -> None:
        pass

    def finished(self, row: Mapping[str, Any]) -> None:
        pass

    def scored(self, execution: Mapping[str, Any], goal: Goal) -> None:
        pass
