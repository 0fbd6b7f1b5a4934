"""Uniform label noise."""

import numpy as np


def flip_labels(
    labels: np.ndarray,
    rate: float,
    num_classes: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns labels of which a fraction is wrong.

    Exactly `round(rate * rows)` rows get another class, chosen uniformly
    among the others. With the same generator state, the rows that a lower
    rate flips are among those of a higher one, with the same wrong labels, so
    that noise levels are paired too.

    Args:
        labels: Integer array of shape `(rows,)`, from 0 to `num_classes - 1`.
        rate: Float in `[0, 1]`. The fraction of wrong labels; rows keep their
            label with probability `1 - rate`, not `1 - rate + rate / classes`.
        num_classes: Integer, 2 or more.
        rng: A `numpy.random.Generator`.

    Returns:
        Integer array of the same shape.

    Example:

    >>> labels = np.zeros(10, int)
    >>> noisy = flip_labels(labels, 0.3, 5, np.random.default_rng(0))
    >>> int((noisy != labels).sum())
    3

    Reference:

    - [Zhang et al., 2017](https://arxiv.org/abs/1611.03530) replace labels by
      uniformly drawn ones, of which some are right by chance. Ours are all
      wrong, so that the rate says what it is.
    """
    order = rng.permutation(len(labels))
    offsets = rng.integers(1, num_classes, size=len(labels))
    wrong = order[: round(rate * len(labels))]
    noisy = labels.copy()
    noisy[wrong] = (labels[wrong] + offsets[wrong]) % num_classes
    return noisy
