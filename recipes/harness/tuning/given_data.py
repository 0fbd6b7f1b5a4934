"""Arrays that are handed to a search, brought to its workers once."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..contract.splits import Splits
from ..refusal import RefusalError

_VALIDATION = 0.2


def as_splits(data: Any) -> Splits:
    """Returns what a search was given as `Splits`.

    Args:
        data: A `Splits`; a pair `(x, y)`, whose last fifth then validates; or
            a pair of pairs `((x, y), (x_validation, y_validation))`. Targets
            of two columns or more that count from 0 are one-hot.

    Raises:
        RefusalError: If it is something else.
    """
    if isinstance(data, Splits):
        return data
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise RefusalError(
            "`data` must be (x, y), ((x, y), (x_validation, y_validation)), "
            "a `Splits`, a function of a seed, or the name of a data set. "
            f"Received: {type(data).__name__}"
        )
    first, second = data
    if isinstance(first, tuple | list) and isinstance(second, tuple | list):
        train, validation = first, second
    else:
        x, y = np.asarray(first), np.asarray(second)
        at = len(x) - max(1, int(_VALIDATION * len(x)))
        train, validation = (x[:at], y[:at]), (x[at:], y[at:])
    train, validation = _pair(train), _pair(validation)
    # Nothing reads the test part of such a search.
    return Splits(train, validation, validation)


def on_disk(splits: Splits, folder: Path) -> Callable[[int], Splits]:
    """Returns a small picklable function of a seed that loads the arrays."""
    handle, name = tempfile.mkstemp(dir=folder, suffix=".npz")
    with open(handle, "wb") as file:
        np.savez(
            file,
            **{
                f"{part}_{axis}": array
                for part in ("train", "validation", "test")
                for axis, array in zip("xy", getattr(splits, part), strict=True)
            },
        )
    return functools.partial(_loaded, name)


@functools.lru_cache(maxsize=2)
def _load(name: str) -> Splits:
    with np.load(name) as arrays:
        train, validation, test = (
            (arrays[f"{part}_x"], arrays[f"{part}_y"])
            for part in ("train", "validation", "test")
        )
    return Splits(train, validation, test)


def _loaded(name: str, seed: int) -> Splits:
    return _load(name)


def _pair(pair: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = (np.asarray(array) for array in pair)
    one_hot = y.dtype.kind in "bui" and y.ndim == 2 and y.shape[1] > 1
    return x, y.astype("float32") if one_hot and x.ndim < 3 else y
