"""TensorFlow's compiled kernels, kept from one cell to the next."""

import contextlib
from collections.abc import Iterator
from unittest import mock

import keras

_drawn = 0
_watched = False


@contextlib.contextmanager
def kernels_kept() -> Iterator[None]:
    """Keeps compiled kernels while Keras' session and seeds are set anew.

    `clear_session` and `set_random_seed` make TensorFlow throw its kernels
    away, so that operations with a random state of their own start anew.
    Where no such operation was ever created, that changes nothing, and
    compiling a small cell's functions again takes a fifth of its time.

    Example:

    >>> with kernels_kept():
    ...     keras.utils.set_random_seed(3)
    """
    if keras.backend.backend() != "tensorflow" or random_state_is_held():
        yield
        return
    # Private, as in Keras' own `clear_session`.
    from tensorflow.python import pywrap_tfe

    with mock.patch.object(
        pywrap_tfe, "TFE_ContextClearCaches", return_value=None
    ):
        yield


def random_state_is_held() -> bool:
    """Whether TensorFlow made a random operation that remembers its draws.

    `tf.random.normal` and its like are such operations, also in a compiled
    function; what Keras draws from a `SeedGenerator` is not.
    """
    _watch()
    return _drawn > 0


def _watch() -> None:
    """Counts the seeds that such operations are created with, from now on."""
    global _watched
    if _watched or keras.backend.backend() != "tensorflow":
        return
    from tensorflow.python.framework import random_seed

    get_seed = random_seed.get_seed

    def counted(op_seed: int | None) -> tuple[int | None, int | None]:
        global _drawn
        _drawn += 1
        return get_seed(op_seed)

    random_seed.get_seed = counted
    _watched = True
