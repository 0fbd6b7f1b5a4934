"""Ctrl-C that is not lost."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def interrupt_kept() -> Iterator[Callable[[], None]]:
    """Remembers Ctrl-C, since Python may drop the exception that it raises.

    An exception that strikes inside a finalizer or a weak reference's
    callback, of which Dask has many, is printed at best, and the program goes
    on. Whoever loops asks here at each turn.

    Yields:
        A function that raises `KeyboardInterrupt` if Ctrl-C was pressed.

    Example:

    >>> with interrupt_kept() as raise_if_interrupted:
    ...     raise_if_interrupted()  # Nobody pressed it.
    """
    pressed = False

    def remember(number, frame):
        nonlocal pressed
        pressed = True
        signal.default_int_handler(number, frame)

    def raise_if_interrupted() -> None:
        if pressed:
            raise KeyboardInterrupt

    # Another handler, or another thread than the main one, is left alone.
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, remember)
    try:
        yield raise_if_interrupted
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
