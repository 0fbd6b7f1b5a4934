"""How much of a command is done, and how long the rest will take."""

import math
import time
from collections.abc import Mapping
from typing import Any

# Where nobody watches a screen change, a line now and then says as much.
_SECONDS_BETWEEN_LINES = 30


class Tally:
    """Counts what is finished, and tells how long the rest will take.

    Args:
        unit: String. What is counted, such as `"cells"`.

    Example:

    >>> tally = Tally("cells")
    >>> tally.expect(2)
    >>> tally.count({"status": "failed"})
    >>> str(tally)
    '1 of 2 cells, 1 failed, 1 s left'
    """

    def __init__(self, unit: str):
        self._unit = unit
        self.begin()

    def begin(self) -> None:
        """Begins anew, and starts the clock."""
        self._start = self._last_line = time.monotonic()
        self._finished = self._failed = self._ended = self._missing = 0
        self._done = self._work = 0.0

    def expect(self, missing: int, work: float | None = None) -> None:
        """Says what is not finished yet.

        Args:
            missing: Integer. How many.
            work: Optional float. How much work they are, where some are more
                than others; 1 each by default.
        """
        self._missing = missing
        self._work = missing if work is None else work

    def count(self, row: Mapping[str, Any], work: float = 1.0) -> None:
        """Counts a row as finished.

        Args:
            row: A row of evidence.
            work: Float. How much work it was.
        """
        self._finished += 1
        self._failed += row["status"] == "failed"
        self._ended += "ended" in row
        self._missing -= 1
        self._done += work
        self._work -= work

    def line_due(self) -> bool:
        """Whether it is time for another line; if so, it counts as said."""
        now = time.monotonic()
        due = now - self._last_line > _SECONDS_BETWEEN_LINES
        if due:
            self._last_line = now
        return due

    def __str__(self) -> str:
        return self.text()

    def text(self, under_way: float = 0.0, slowest: float = 0.0) -> str:
        """Returns the counts, and what is left from the first count on.

        Several workers finish their first cells together: what the others
        have nearly done counts, too, lest the first count be all there is.

        Args:
            under_way: Float. Work that is done of what is not finished.
            slowest: Float. Seconds that what is under way takes at least.
        """
        total = self._finished + self._missing
        parts = [f"{self._finished} of {total} {self._unit}"]
        parts += [f"{self._failed} failed"] * bool(self._failed)
        parts += [f"{self._ended} ended early"] * bool(self._ended)
        if self._done and self._missing > 0:
            passed = time.monotonic() - self._start
            pace = passed / (self._done + under_way)
            left = max(pace * (self._work - under_way), slowest)
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
