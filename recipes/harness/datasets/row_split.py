"""Cuts the rows of a fixed data set into three parts by seed."""

import numpy as np

from .label_noise import flip_labels
from .random_stream import random_stream


def check_sizes(name: str, rows: int, train_size: int, validation_size: int):
    """Refuses sizes that leave no row to test on."""
    if train_size + validation_size >= rows:
        raise ValueError(
            f"`train_size` and `validation_size` must leave some of the "
            f"{rows} rows of {name} as test data. Received: "
            f"train_size={train_size}, validation_size={validation_size}"
        )


def split_rows(
    x: np.ndarray,
    y: np.ndarray,
    seed: int,
    train_size: int,
    validation_size: int,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns training, validation and test rows of a seed's permutation."""
    order = random_stream(seed, "split").permutation(len(x))
    cuts = [train_size, train_size + validation_size]
    return [(x[rows], y[rows]) for rows in np.split(order, cuts)]


def add_label_noise(
    pairs: list[tuple[np.ndarray, np.ndarray]], seed: int, rate: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns the same parts with wrong labels in all but the test rows."""
    num_classes = 1 + max(int(y.max()) for _, y in pairs)
    train, validation, test = pairs
    noisy = [
        (x, flip_labels(y, rate, num_classes, random_stream(seed, purpose)))
        for (x, y), purpose in (
            (train, "label noise in training"),
            (validation, "label noise in validation"),
        )
    ]
    return [*noisy, test]
