"""The progress of a search: the best trials so far, and what is running."""

import math
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..engine.cell import Cell
from .progress import SECONDS_BETWEEN_LINES, duration
from .styles import number

_BEST = 5
_RUNNING = 8
_LINES = 4  # Beside the two tables.


class SearchProgress:
    """A reporter that draws on the error stream, so that pipes stay clean.

    On a terminal that can move its cursor it is a table of the best trials
    and of those that run, gone at the end; elsewhere it is a line now and
    then.

    Args:
        quiet: Whether to draw nothing.
    """

    def __init__(self, quiet: bool = False):
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._drawn = self._console.is_interactive and not quiet
        self._name = ""
        self._total = self._finished = self._failed = self._ended = 0
        self._running: dict[str, tuple[Cell, float]] = {}
        self._best: list[Mapping[str, Any]] = []
        self._start = self._last_line = time.monotonic()
        self._live = Live(
            console=self._console,
            transient=True,
            refresh_per_second=2,
            get_renderable=self._view,
        )

    def __enter__(self) -> "SearchProgress":
        if self._drawn:
            self._live.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._drawn:
            self._live.stop()

    def planned(self, plan: Any, pending: int) -> None:
        for note in plan.notes:
            self._console.print(note, soft_wrap=True, markup=False)
        self._name = plan.recipe
        self._total = pending
        self._start = self._last_line = time.monotonic()
        if not self._drawn:
            self._say(f"{pending} runs at most")

    def started(self, cell: Cell) -> None:
        self._running[cell.id] = (cell, time.monotonic())

    def finished(self, row: Mapping[str, Any]) -> None:
        known = self._running.pop(row["id"], None) is None
        self._finished += 1
        self._failed += row["status"] == "failed"
        self._ended += "ended" in row
        if known:  # Of an earlier call: it took no time now.
            self._finished -= 1
            self._total -= 1
        now = time.monotonic()
        if not self._drawn and now - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = now
            best = f", best {number(self._best[0]['score'])}" * bool(self._best)
            self._say(self._count() + best)

    def scored(self, execution: Mapping[str, Any], goal: Any) -> None:
        if math.isfinite(execution["score"]):
            sign = 1 if goal.direction == "min" else -1
            ranked = [*self._best, execution]
            ranked.sort(key=lambda e: sign * e["score"])
            self._best = ranked[:_BEST]

    def _view(self) -> RenderableType:
        room = max(1, self._console.height - _BEST - _LINES)
        best, running = _table("best so far", "score"), _table("running", "for")
        several = len({e["arm"] for e in self._best}) > 1
        for execution in self._best:
            arm = f"{execution['arm']} " if several else ""
            best.add_row(
                f"{arm}{execution['trial']}",
                settings_text(execution["hyperparameters"]),
                number(execution["score"]),
            )
        now = time.monotonic()
        shown = list(self._running.values())[: min(_RUNNING, room)]
        for cell, since in shown:
            running.add_row(
                f"seed {cell.seed}",
                settings_text(cell.settings),
                duration(now - since),
            )
        head = Text.assemble((self._name or "starting", "bold"), "  ")
        return Group(
            head + Text(self._count() if self._total else ""),
            *([best] if self._best else []),
            *([running] if shown else []),
        )

    def _count(self) -> str:
        parts = [f"{self._finished} of {self._total} runs"]
        parts += [f"{self._failed} failed"] * bool(self._failed)
        parts += [f"{self._ended} ended early"] * bool(self._ended)
        missing = self._total - self._finished
        if self._finished and missing > 0:
            passed = time.monotonic() - self._start
            left = passed / self._finished * missing
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    def _say(self, text: str) -> None:
        # Not through Rich, which would break a line at the window's edge.
        if not self._console.quiet:
            print(f"{self._name}: {text}", file=self._console.file, flush=True)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Returns settings in one line.

    >>> settings_text({"rate": 0.123456, "layers": 2})
    'rate=0.1235, layers=2'
    """
    return ", ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in settings.items()
    )


def _table(title: str, last: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), expand=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="ellipsis", no_wrap=True, ratio=1)
    table.add_column(justify="right", no_wrap=True)
    table.add_row(Text(title, "dim"), "", Text(last, "dim"))
    return table
