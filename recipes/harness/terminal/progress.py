"""The progress of a run: what is done, what failed, how long it will take."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column

from .tally import Tally

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
        self._tally = Tally("cells")
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
        return self

    def __exit__(self, *exception: Any) -> None:
        self._bar.stop()

    def planned(self, plan: Any, pending: int) -> None:
        for note in plan.notes:
            self._say(note)
        self._tally.begin()
        self._tally.expect(pending)
        self._bar.update(
            self._task,
            description=plan.recipe,
            total=pending,
            count=str(self._tally),
        )
        if self._bar.disable and pending:
            self._say(f"{plan.recipe}: {pending} cells to run")

    def finished(self, row: Mapping[str, Any]) -> None:
        self._tally.count(row)
        self._bar.update(self._task, advance=1, count=str(self._tally))
        if self._bar.disable and self._tally.line_due():
            self._say(f"{row['recipe']}: {self._tally}")

    def _say(self, text: str) -> None:
        # Not broken at the window's edge.
        self._console.print(text, soft_wrap=True, markup=False, emoji=False)
