"""Scikit-learn's small tables, standardized by the training rows."""

import functools
from typing import Any

import numpy as np

from ..contract.splits import Splits
from .dataset import Dataset, fraction, whole_numbers
from .row_split import add_label_noise, check_sizes, split_rows
from .standardized import standardized


def breast_cancer(
    train_size: int = 300,
    validation_size: int = 100,
    label_noise: float = 0.0,
) -> Dataset:
    """Wisconsin breast cancer: 569 rows, 30 features, malignant or benign.

    Labels are 0 (malignant) and 1 (benign). Each feature has mean 0 and
    standard deviation 1 over the training rows.

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

    >>> breast_cancer()(seed=0)
    Splits(300 + 100 + 169 rows of (30,), target='classes', num_classes=2)

    Reference:

    - Street, Wolberg and Mangasarian, 1993, "Nuclear feature extraction for
      breast tumor diagnosis", https://doi.org/10.1117/12.148698.
    """
    settings = _settings(
        "breast_cancer", 569, train_size, validation_size, label_noise
    )
    return Dataset(breast_cancer, _draw_breast_cancer, settings)


def wine(
    train_size: int = 90, validation_size: int = 40, label_noise: float = 0.0
) -> Dataset:
    """Wines of three growers: 178 rows, 13 chemical features, 3 classes.

    Each feature has mean 0 and standard deviation 1 over the training rows.

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

    >>> wine(label_noise=0.1)(seed=0)
    Splits(90 + 40 + 48 rows of (13,), target='classes', num_classes=3)

    Reference:

    - Aeberhard and Forina, 1992, "Wine", UCI Machine Learning Repository,
      https://doi.org/10.24432/C5PC7J.
    """
    settings = _settings("wine", 178, train_size, validation_size, label_noise)
    return Dataset(wine, _draw_wine, settings)


def diabetes(
    train_size: int = 250,
    validation_size: int = 80,
    label_noise: float = 0.0,
) -> Dataset:
    """Diabetes progression after a year: 442 rows, 10 features, real target.

    Features and target have mean 0 and standard deviation 1 over the training
    rows, so an `rmse` of 1 is about what the mean achieves.

    Args:
        train_size: Integer, 1 or more. The number of training rows.
        validation_size: Integer, 1 or more. The rest is test data.
        label_noise: 0. A number has no other class to be turned into.

    Returns:
        A `Dataset`: call it with a seed.

    Raises:
        ValueError: If the sizes leave no test data, or `label_noise` is not
            0.

    Example:

    >>> diabetes()(seed=0)
    Splits(250 + 80 + 112 rows of (10,), target='real', num_classes=None)

    Reference:

    - Efron et al., 2004, "Least angle regression", Annals of Statistics 32,
      https://doi.org/10.1214/009053604000000067. We start from the features
      as measured; scikit-learn's own scaling looks at all rows.
    """
    if label_noise != 0:
        raise ValueError(
            "`label_noise` must be 0 for diabetes, whose target is a number. "
            f"Received: label_noise={label_noise!r}"
        )
    settings = _settings(
        "diabetes", 442, train_size, validation_size, label_noise
    )
    return Dataset(diabetes, _draw_diabetes, settings)


def _settings(
    name: str,
    rows: int,
    train_size: int,
    validation_size: int,
    label_noise: float,
) -> tuple[int, int, float]:
    train_size, validation_size = whole_numbers(
        train_size=train_size, validation_size=validation_size
    )
    check_sizes(name, rows, train_size, validation_size)
    return train_size, validation_size, fraction(label_noise=label_noise)


def _draw_breast_cancer(seed: int, *settings: Any) -> Splits:
    return _draw_classes("breast_cancer", seed, *settings)


def _draw_wine(seed: int, *settings: Any) -> Splits:
    return _draw_classes("wine", seed, *settings)


def _draw_classes(
    name: str,
    seed: int,
    train_size: int,
    validation_size: int,
    label_noise: float,
) -> Splits:
    x, y = _table(name)
    pairs = split_rows(x, y, seed, train_size, validation_size)
    inputs = standardized([x for x, _ in pairs])
    pairs = add_label_noise(pairs, seed, label_noise)
    targets = [y for _, y in pairs]
    train, validation, test = zip(inputs, targets, strict=True)
    return Splits(train, validation, test)


def _draw_diabetes(
    seed: int, train_size: int, validation_size: int, label_noise: float
) -> Splits:
    del label_noise  # It is 0.
    x, y = _table("diabetes")
    pairs = split_rows(x, y[:, None], seed, train_size, validation_size)
    inputs, targets = (
        standardized(list(parts)) for parts in zip(*pairs, strict=True)
    )
    train, validation, test = zip(inputs, targets, strict=True)
    return Splits(train, validation, test)


@functools.lru_cache
def _table(name: str) -> tuple[np.ndarray, np.ndarray]:
    # Scikit-learn takes most of a second to import.
    from sklearn import datasets

    raw = {"scaled": False} if name == "diabetes" else {}
    return getattr(datasets, f"load_{name}")(return_X_y=True, **raw)
