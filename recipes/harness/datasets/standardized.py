"""Columns of mean 0 and standard deviation 1 over the training rows."""

from collections.abc import Sequence

import numpy as np


def standardized(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns all parts on the scale of the first one, the training rows.

    Example:

    >>> parts = [np.array([[1.0], [3.0]]), np.array([[4.0]])]
    >>> train, test = standardized(parts)
    >>> train.tolist(), test.tolist()
    ([[-1.0], [1.0]], [[2.0]])
    """
    mean, std = parts[0].mean(axis=0), parts[0].std(axis=0)
    # A column that is constant over the training rows keeps its scale.
    return [(part - mean) / np.where(std > 0, std, 1) for part in parts]
