"""Default seeds that depend on the cell alone."""

import random

from keras.src.random import seed_generator
from keras.src.utils import rng_utils


class _Stream:
    """What Keras finds under the name of Python's `random`."""

    def __init__(self) -> None:
        self._stream = random.Random()  # noqa: S311
        self._stream.setstate(random.getstate())

    def seed(self, seed: int) -> None:
        random.seed(seed)
        self._stream.seed(seed)

    def randint(self, low: int, high: int) -> int:
        return self._stream.randint(low, high)


def keep_default_seeds() -> None:
    """Lets Keras alone draw the seeds of what it is given none for.

    Keras draws them from Python's global stream. In a worker process other
    threads draw from it, too, and so does loading a data set for the first
    time: an optimizer's noise, or a net that a recipe builds for itself, would
    start otherwise each time. From now on `keras.utils.set_random_seed` starts
    a stream of Keras' own as well, whose numbers are those that Python's would
    give to Keras if nobody else drew.

    Example:

    >>> import random
    >>> def noise_seed(draws):
    ...     keras.utils.set_random_seed(3)
    ...     for _ in range(draws):
    ...         random.random()
    ...     return int(keras.random.SeedGenerator().state[0])
    >>> keep_default_seeds()
    >>> noise_seed(draws=0) == noise_seed(draws=5)
    True
    """
    if isinstance(seed_generator.python_random, _Stream):
        return
    # Private, for want of an argument: no public name leads to the stream.
    stream = _Stream()
    seed_generator.python_random = stream
    rng_utils.random = stream
