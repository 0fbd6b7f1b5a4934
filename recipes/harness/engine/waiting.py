"""What is said while a cluster has no worker, lest it look like a hang."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping

_SECONDS_BEFORE_FIRST = 5.0
_SECONDS_BETWEEN = 30.0
_SECONDS_BETWEEN_LOOKS = 1.0


class Waiting:
    """Counts how long nobody has been there, and says so now and then.

    Args:
        address: String. The scheduler's.
        now: Function that returns seconds.

    Example:

    >>> clock = iter([0.0, 6.0, 8.0])
    >>> waiting = Waiting("tcp://h:1", lambda: next(clock))
    >>> waiting.look(0), waiting.look(0), waiting.look(2)
    (None, 'waiting for a worker at tcp://h:1, 6 s; start one with `dask \
worker tcp://h:1 --nthreads 1`', 'a worker is there, after 8 s')
    """

    def __init__(self, address: str, now: Callable[[], float] = time.monotonic):
        self._address = address
        self._now = now
        self._since: float | None = None
        self._said: float | None = None

    def look(self, workers: int) -> str | None:
        """Returns what is to be said, if anything.

        Args:
            workers: Integer. How many there are.
        """
        if workers:
            since, said = self._since, self._said
            self._since = self._said = None
            if said is None or since is None:
                return None
            return f"a worker is there, after {self._now() - since:.0f} s"
        now = self._now()
        if self._since is None:
            self._since = now
        passed = now - self._since
        first = self._said is None
        pause = _SECONDS_BEFORE_FIRST if first else _SECONDS_BETWEEN
        if now - (self._said or self._since) < pause:
            return None
        self._said = now
        sentence = f"waiting for a worker at {self._address}, {passed:.0f} s"
        if first:
            sentence += (
                f"; start one with `dask worker {self._address} --nthreads 1`"
            )
        return sentence


@contextlib.contextmanager
def waiting_said(
    address: str, workers: Callable[[], Mapping[str, int]]
) -> Iterator[None]:
    """Says on the error stream that a cluster has no worker, while it has none.

    A thread of its own looks, since whoever needs a worker is blocked.

    Args:
        address: String. The scheduler's.
        workers: Function that returns the workers' threads by address.
    """
    waiting = Waiting(address)
    over = threading.Event()

    def look_now_and_then() -> None:
        while not over.wait(_SECONDS_BETWEEN_LOOKS):
            # A scheduler that is gone is the blocked one's matter.
            with contextlib.suppress(Exception):
                sentence = waiting.look(len(workers()))
                if sentence is not None:
                    print(f"regimen: {sentence}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=look_now_and_then, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_SECONDS_BETWEEN_LOOKS)
