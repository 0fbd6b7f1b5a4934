"""The other callbacks of a training."""

import sys

import keras
from keras.callbacks import CallbackList, History, ProgbarLogger


def callbacks_before(
    callback: keras.callbacks.Callback,
) -> list[keras.callbacks.Callback]:
    """Returns the callbacks of the same training, for one that is the last.

    Args:
        callback: The callback in whose `on_train_begin` this is called.

    Returns:
        List of callbacks, without Keras' history and progress bar.

    Raises:
        ValueError: If another callback comes after it.

    Example:

    >>> class Look(keras.callbacks.Callback):
    ...     def on_train_begin(self, logs=None):
    ...         print(len(callbacks_before(self)))
    >>> others = [keras.callbacks.TerminateOnNaN(), Look()]
    >>> keras.callbacks.CallbackList(others).on_train_begin()
    1
    """
    # Keras tells no callback of the others: their list is the caller.
    frame = sys._getframe(1)
    found = frame.f_locals.get("self")
    while not isinstance(found, CallbackList) and frame.f_back is not None:
        frame = frame.f_back
        found = frame.f_locals.get("self")
    if not isinstance(found, CallbackList):
        raise ValueError(
            "The callback must be in a `keras.callbacks.CallbackList`, where "
            "it finds the others. Received: a call from elsewhere"
        )
    place = next(i for i, c in enumerate(found.callbacks) if c is callback)
    others = [
        (i, other)
        for i, other in enumerate(found.callbacks)
        if i != place and not isinstance(other, History | ProgbarLogger)
    ]
    for i, other in others:
        if i > place:
            raise ValueError(
                f"`{type(callback).__name__}` must be the last callback: it "
                "must see what the others have done. Received: "
                f"{type(other).__name__} after it"
            )
    return [other for _, other in others]
