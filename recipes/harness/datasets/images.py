"""Handwritten digits."""

import functools
from pathlib import Path

import numpy as np

from ..contract.splits import Splits
from .cache import cache_directory
from .dataset import Dataset, fraction, whole_numbers
from .row_split import add_label_noise, check_sizes, split_rows


def digits(
    train_size: int = 1000,
    validation_size: int = 200,
    label_noise: float = 0.0,
) -> Dataset:
    """Scikit-learn's handwritten digits: 1,797 gray images of 8 x 8 pixels.

    Ten classes; inputs of shape `(8, 8, 1)` between 0 and 1. Without label
    noise a small net errs on 2-3 % of the test rows, less than most
    regularizers differ by: 0.2 to 0.3 of label noise tells them apart.

    The rows come through TensorFlow Datasets, which keeps them in the folder
    that the environment variable `REGIMEN_CACHE` names (`regimen` in the
    user's cache folder by default). Nothing is downloaded.

    Args:
        train_size: Integer, 1 or more. The number of training rows.
        validation_size: Integer, 1 or more. The rest is test data.
        label_noise: Float in `[0, 1]`. The fraction of training and of
            validation rows that get a wrong label; test labels stay right.

    Returns:
        A `Dataset`: call it with a seed.

    Raises:
        ValueError: If the sizes leave no test data, or `label_noise` is not a
            fraction.

    Example:

    >>> digits(label_noise=0.3)
    digits(label_noise=0.3)

    Reference:

    - Alpaydin and Kaynak, 1998, "Optical Recognition of Handwritten Digits",
      UCI Machine Learning Repository, https://doi.org/10.24432/C50P49.
      Scikit-learn ships its test part, and so do we.
    """
    sizes = whole_numbers(
        train_size=train_size, validation_size=validation_size
    )
    check_sizes("digits", 1797, *sizes)
    settings = (*sizes, fraction(label_noise=label_noise))
    return Dataset(digits, _draw_digits, settings)


def _draw_digits(
    seed: int, train_size: int, validation_size: int, label_noise: float
) -> Splits:
    x, y = _all_digits(cache_directory())
    pairs = split_rows(x, y, seed, train_size, validation_size)
    train, validation, test = add_label_noise(pairs, seed, label_noise)
    return Splits(train, validation, test)


@functools.lru_cache(maxsize=1)
def _all_digits(cache: Path) -> tuple[np.ndarray, np.ndarray]:
    # TensorFlow Datasets and TensorFlow take seconds to import.
    from .digits_builder import load_digits

    images, labels = load_digits(cache / "tensorflow_datasets")
    return images.astype("float32") / 16, labels.astype("int32")
