"""Random numbers that belong to a seed and a purpose."""

import zlib

import numpy as np


def random_stream(seed: int, purpose: str) -> np.random.Generator:
    """Returns the generator that a seed has for one purpose.

    Draws for one purpose never shift those for another: with label noise, a
    seed has the same split as without.

    Args:
        seed: Integer, 0 or more.
        purpose: String, such as `"split"`.

    Returns:
        A `numpy.random.Generator`.

    Raises:
        ValueError: If `seed` is not an integer of 0 or more.

    Example:

    >>> a, b = random_stream(0, "split"), random_stream(0, "label noise")
    >>> a.random() == b.random()
    False
    """
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(
            f"`seed` must be an integer of 0 or more. Received: seed={seed!r}"
        )
    return np.random.default_rng([int(seed), zlib.crc32(purpose.encode())])
