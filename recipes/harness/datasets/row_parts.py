"""Which rows of a user's data a seed trains, validates and tests on."""

import numpy as np

from ..refusal import RefusalError
from .random_stream import random_stream

FEWEST_ROWS = 10


def row_parts(
    y: np.ndarray, seed: int, test_from: int | None = None
) -> list[np.ndarray]:
    """Returns the training, validation and test rows of a seed.

    Shuffled, then cut into 60, 20 and 20 % of each class; what comes with a
    test split keeps it, and gives 80 and 20 % of the other rows. The first
    row of a class goes to the training rows, however rare it is.

    Args:
        y: int32 labels of shape `(rows,)`, whose shares are kept, or any other
            targets.
        seed: Integer, 0 or more.
        test_from: Optional integer. The first row of the data's own test
            split, which ends with the last row.

    Raises:
        RefusalError: If there are too few rows.

    Example:

    >>> parts = row_parts(np.zeros(50, "int32"), seed=0)
    >>> [len(rows) for rows in parts]
    [30, 10, 10]
    """
    pool = len(y) if test_from is None else test_from
    order = random_stream(seed, "split").permutation(pool)
    labels = y.dtype == np.int32 and y.ndim == 1
    groups = y[order] if labels else np.zeros(pool, "int32")
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    by_group = np.argsort(group, kind="stable")
    rank = np.empty(pool)
    rank[by_group] = np.arange(pool) - np.repeat(
        np.cumsum(sizes) - sizes, sizes
    )
    place = (rank + 0.5) / sizes[group]
    cuts = [0.6, 0.8] if test_from is None else [0.8]
    part = np.searchsorted(cuts, place)
    parts = [order[part == number] for number in range(len(cuts) + 1)]
    if test_from is not None:
        parts.append(np.arange(test_from, len(y)))
    if pool < FEWEST_ROWS or not all(map(len, parts)):
        found = " + ".join(str(len(rows)) for rows in parts)
        raise RefusalError(
            f"The data has {len(y)} rows with a target, too few to train, "
            f"validate and test on ({found}); it takes {FEWEST_ROWS} or more, "
            "and some classes of 5."
        )
    return parts
