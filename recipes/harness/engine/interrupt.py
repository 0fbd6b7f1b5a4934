"""Ctrl-C that is not lost."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


@contextlib.contextmanager
def interrupt_kept() -> Iterator[Callable[[], None]]:
    """Remembers Ctrl-C, since Python may drop the exception that it raises.

    An exception that strikes inside a finalizer or a weak reference's
    callback, of which Dask has many, is printed at best, and the program goes
    on. Whoever loops asks here at each turn. A handler that was there before
    decides whether Ctrl-C interrupts.

    Yields:
        A function that raises `KeyboardInterrupt` if Ctrl-C was pressed.

    Example:

    >>> with interrupt_kept() as raise_if_interrupted:
    ...     raise_if_interrupted()  # Nobody pressed it.
    """
    pressed = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        try:
            previous(number, frame)
        except KeyboardInterrupt:
            pressed = True
            raise

    def raise_if_interrupted() -> None:
        if pressed:
            raise KeyboardInterrupt

    previous: Any = None
    if threading.current_thread() is threading.main_thread():
        previous = signal.getsignal(signal.SIGINT)
    # Not a function where Ctrl-C is ignored or ends the process.
    ours = callable(previous)
    if ours:
        signal.signal(signal.SIGINT, remember)
    try:
        yield raise_if_interrupted
    finally:
        if ours:
            signal.signal(signal.SIGINT, previous)
