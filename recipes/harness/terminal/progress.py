"""The progress of a run: what is done, what failed, how long it will take."""

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

# Where nobody watches a bar move, a line now and then says as much.
_SECONDS_BETWEEN_LINES = 30


class Progress:
    """A reporter that draws on the error stream, so that pipes stay clean.

    Args:
        quiet: Whether to draw nothing.
    """

    def __init__(self, quiet: bool = False):
        self._console = Console(stderr=True, quiet=quiet)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )

    def __enter__(self) -> "Progress":
        self._bar.start()
        self._task = self._bar.add_task("starting", total=None, failed="")
        self._failed = self._finished = 0
        self._last_line = time.monotonic()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bar.stop()

    def planned(self, plan: Any, pending: int) -> None:
        self._total = pending
        self._bar.update(self._task, description=plan.recipe, total=pending)

    def finished(self, row: Mapping[str, Any]) -> None:
        self._finished += 1
        self._failed += row["status"] == "failed"
        failed = f"{self._failed} failed" if self._failed else ""
        self._bar.update(self._task, advance=1, failed=failed)
        now = time.monotonic()
        quiet_for = now - self._last_line
        if self._bar.disable and quiet_for > _SECONDS_BETWEEN_LINES:
            self._last_line = now
            line = f"{row['recipe']}: {self._finished} of {self._total} cells"
            self._console.print(f"{line}, {failed}" if failed else line)
