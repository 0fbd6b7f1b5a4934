"""Ctrl-C, held back until training can be left in order."""

import signal
import sys
import threading
from types import CodeType, FrameType
from typing import Any


class DeferredInterrupt:
    """Makes Ctrl-C end the current batch before it ends the training.

    Keras calls no callback when `fit` is interrupted, and amid a step a
    model's state can be incomplete (JAX has given its buffers away), so that
    nothing can be restored on the spot. While this handler is in place, the
    exception that Ctrl-C raises is held, `model.stop_training` ends the loop
    after the running batch, and the callback raises the exception from its
    next hook, once it has restored what it wants. A second Ctrl-C raises at
    once. A handler that was there before is asked first: where it raises
    nothing, training goes on.

    Python lets only the main thread handle signals; in another thread this
    does nothing. Create it in `on_train_begin`, whose caller is taken for the
    training loop: once that has been left, Ctrl-C acts as before, even if
    nobody called `remove`.

    Args:
        model: The model whose `stop_training` the training loop obeys.

    Example:

    >>> def on_train_begin(model):
    ...     return DeferredInterrupt(model)
    >>> interrupt = on_train_begin(keras.Sequential())
    >>> interrupt.raise_pending()  # Nothing to raise: nobody pressed Ctrl-C.
    >>> interrupt.remove()
    """

    def __init__(self, model: Any):
        self.pending: BaseException | None = None
        self._model = model
        self._loop: Any = _caller_of_on_train_begin()
        self._previous: Any = None
        if not _in_main_thread():
            return
        previous = signal.getsignal(signal.SIGINT)
        # Not a function where Ctrl-C is ignored or ends the process.
        if callable(previous):
            self._previous = previous
            signal.signal(signal.SIGINT, self._handle)

    def remove(self) -> None:
        """Puts the earlier handler back."""
        self._loop = None
        if self._previous is None or not _in_main_thread():
            return
        handler = signal.getsignal(signal.SIGINT)
        # Whoever came later chains to this one, which must then stay until
        # that one goes.
        while _is_removed(handler):
            handler = handler.__self__._previous  # type: ignore[union-attr]
        signal.signal(signal.SIGINT, handler)

    def raise_pending(self) -> None:
        """Raises the exception that was held back, if there is one."""
        pending, self.pending = self.pending, None
        if pending is not None:
            raise pending

    def _handle(self, number: int, frame: FrameType | None) -> None:
        try:
            self._previous(number, frame)
        except BaseException as error:
            if self.pending is not None or not self._is_training(frame):
                raise
            self.pending = error
            self._model.stop_training = True
            self._model.stop_evaluating = True

    def _is_training(self, frame: FrameType | None) -> bool:
        while frame is not None and _identity(frame) != self._loop:
            frame = frame.f_back
        return frame is not None


def _caller_of_on_train_begin() -> tuple[int, CodeType]:
    frame = sys._getframe(2)
    # One `on_train_begin` calls the next: list of callbacks, callback.
    while frame.f_code.co_name == "on_train_begin" and frame.f_back:
        frame = frame.f_back
    return _identity(frame)


def _identity(frame: FrameType) -> tuple[int, CodeType]:
    # Not the frame itself, which would keep the training data alive.
    return id(frame), frame.f_code


def _is_removed(handler: Any) -> bool:
    owner = getattr(handler, "__self__", None)
    return isinstance(owner, DeferredInterrupt) and owner._loop is None


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
