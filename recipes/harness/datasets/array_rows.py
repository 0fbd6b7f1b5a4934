"""Arrays of a user, in memory or mapped from a file, as the rows of a seed."""

import numpy as np

from ..contract.splits import Splits
from ..contract.streamed_splits import StreamedRows, StreamedSplits, as_inputs
from .memory_share import memory_share
from .row_parts import row_parts
from .standardized import standardized


def larger_than_memory(x: np.ndarray) -> bool:
    """Whether these inputs, as float32, are more than a process may hold."""
    return x.size * 4 > memory_share()


def array_rows(
    x: np.ndarray,
    y: np.ndarray,
    seed: int,
    digest: str,
    test_from: int | None = None,
    streamed: bool = False,
) -> Splits | StreamedSplits:
    """Returns the rows of a seed.

    Inputs stay as they are, but bytes are divided by 255. A real target gets
    mean 0 and standard deviation 1 over the training rows.

    Args:
        x: Inputs of shape `(rows, ...)`.
        y: int32 labels or float32 targets.
        seed: Integer, 0 or more.
        digest: String. What stands for the arrays.
        test_from: Optional integer. The first row of their own test split.
        streamed: Boolean. Whether inputs are read when they are needed.
    """
    y = np.asarray(y)
    parts = row_parts(y, seed, test_from)
    targets = [y[rows] for rows in parts]
    if y.dtype != np.int32:
        targets = [part.astype("float32") for part in standardized(targets)]
    if streamed:
        train, validation, test = (
            StreamedRows(x, target, rows)
            for target, rows in zip(targets, parts, strict=True)
        )
        return StreamedSplits(train, validation, test, digest)
    inputs = [as_inputs(x[rows]) for rows in parts]
    first, second, third = zip(inputs, targets, strict=True)
    return Splits(first, second, third)
