"""The progress of a run: what is done, what failed, how long it will take."""

import math
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column

# Where nobody watches a bar move, a line now and then says as much.
SECONDS_BETWEEN_LINES = 30
_BAR = 24
_WORDS = 44  # Columns that stand beside the bar, and want to be read.


class Progress:
    """A reporter that draws on the error stream, so that pipes stay clean.

    On a terminal that can move its cursor it is a bar, gone at the end;
    elsewhere it is a line at the start, and one now and then.

    Args:
        quiet: Whether to draw nothing.
    """

    def __init__(self, quiet: bool = False):
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        room = self._console.width - _WORDS
        self._bar = Bar(
            # The one column that may shrink.
            TextColumn(
                "{task.description}", table_column=Column(overflow="ellipsis")
            ),
            *([BarColumn(min(_BAR, room))] if room >= 4 else []),
            TextColumn(
                "{task.fields[count]}", table_column=Column(no_wrap=True)
            ),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_interactive,
        )

    def __enter__(self) -> "Progress":
        self._bar.start()
        self._task = self._bar.add_task("starting", total=None, count="")
        self._failed = self._finished = self._total = 0
        self._start = self._last_line = time.monotonic()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bar.stop()

    def planned(self, plan: Any, pending: int) -> None:
        for note in plan.notes:
            self._console.print(note, soft_wrap=True, markup=False)
        self._total = pending
        self._start = self._last_line = time.monotonic()
        self._bar.update(
            self._task,
            description=plan.recipe,
            total=pending,
            count=self._count(),
        )
        if self._bar.disable and pending:
            self._say(plan.recipe, f"{pending} cells to run")

    def finished(self, row: Mapping[str, Any]) -> None:
        self._finished += 1
        self._failed += row["status"] == "failed"
        self._bar.update(self._task, advance=1, count=self._count())
        now = time.monotonic()
        if self._bar.disable and now - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._say(row["recipe"], self._count())

    def _say(self, recipe: str, text: str) -> None:
        # Not through Rich, which would break a line at the window's edge.
        if not self._console.quiet:
            print(f"{recipe}: {text}", file=self._console.file, flush=True)

    def _count(self) -> str:
        parts = [f"{self._finished} of {self._total} cells"]
        if self._failed:
            parts.append(f"{self._failed} failed")
        missing = self._total - self._finished
        if self._finished and missing:
            passed = time.monotonic() - self._start
            left = passed / self._finished * missing
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """Returns a time in the words in which one would ask for it.

    >>> duration(0.4), duration(61), duration(7000)
    ('1 s', '2 min', '1 h 57 min')
    """
    if seconds <= 59:
        return f"{max(1, math.ceil(seconds))} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
