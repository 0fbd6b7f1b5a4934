"""What a running cell tells: how far it is, and its score so far."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any

# One for all, since a cluster's scheduler keeps some messages of each topic.
_TOPIC = "regimen-news"

_SECONDS_BETWEEN = 1.0

Score = Callable[[Mapping[str, Any]], float]


@dataclass(frozen=True)
class News:
    """How far a cell is.

    Args:
        cell: String. Its id.
        epoch: Integer. The epochs that it has trained, 0 as it starts.
        epochs: Optional integer. Those that it will train if nothing ends it
            before; None where nobody knows.
        score: Float. Its score if it ended now; NaN where nobody knows.
    """

    cell: str
    epoch: int = 0
    epochs: int | None = None
    score: float = math.nan


class Teller:
    """Tells the news of one cell.

    Args:
        cell: String. Its id.
        score: Function from what there is of its row to its score so far.
        say: Function that takes `News`.
    """

    def __init__(self, cell: str, score: Score, say: Callable[[News], None]):
        self._cell = cell
        self._score = score
        self._say = say
        self._last = -math.inf

    @property
    def due(self) -> bool:
        """Whether the last news of an epoch are a second old."""
        return time.monotonic() - self._last >= _SECONDS_BETWEEN

    def begin(self) -> None:
        """Tells that the cell starts."""
        self._say(News(self._cell))

    def tell(
        self, epoch: int, epochs: int | None, row: Mapping[str, Any]
    ) -> None:
        """Tells how far the cell is.

        Args:
            epoch: Integer, as of `News`.
            epochs: Optional integer, as of `News`.
            row: What there is of its row.
        """
        self._last = time.monotonic()
        self._say(News(self._cell, epoch, epochs, float(self._score(row))))


@dataclass(frozen=True)
class Listener:
    """Who hears the news of cells while they run.

    Args:
        score: As of `Teller`, and picklable: it is called where cells run.
        heard: Function that takes `News`. With workers a thread of Dask's
            calls it, which must not wait.
    """

    score: Score
    heard: Callable[[News], None]

    def teller(self, cell: str) -> Teller:
        """Returns what tells of a cell that runs in this process."""
        return Teller(cell, self.score, self.heard)


def teller_in_worker(cell: str, score: Score) -> Teller:
    """Returns what tells of a cell that runs in a Dask worker."""
    return Teller(cell, score, _log_event)


@contextlib.contextmanager
def listening(client: Any, listener: Listener | None) -> Iterator[None]:
    """Has a listener hear what a Dask client's workers tell.

    Other commands on the same cluster are heard, too: cells tell them apart.
    """
    if listener is None:
        yield
        return
    heard = listener.heard
    client.subscribe_topic(_TOPIC, lambda event: heard(News(*event[1])))
    try:
        yield
    finally:
        if client.status == "running":
            client.unsubscribe_topic(_TOPIC)


def _log_event(news: News) -> None:
    from distributed import get_worker

    # A `fit` of one's own may train in a thread that no worker knows.
    with contextlib.suppress(ValueError):
        get_worker().log_event(_TOPIC, list(astuple(news)))
