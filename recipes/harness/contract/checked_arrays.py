"""Refuses arrays that no model could be trained on, in a sentence."""

from typing import Any

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]


def checked_pair(part: str, pair: Any) -> Pair:
    """Returns float32 inputs and int32 or float32 targets, read-only."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise ValueError(
            f"`{part}` must be a pair (x, y) of arrays. "
            f"Received: {type(pair).__name__}"
        )
    x, y = checked_inputs(part, pair[0]), _targets(part, pair[1])
    if len(x) != len(y):
        raise ValueError(
            f"`{part}` must have as many targets as inputs. "
            f"Received: {len(x)} inputs and {len(y)} targets"
        )
    if y.dtype == np.int32 and y.ndim == 2 and y.shape[1] != x.shape[1]:
        raise ValueError(
            f"`{part}` labels of rank 2 must be one for each time step of "
            "the input; one-hot columns must come as labels. Received: "
            f"x of shape {x.shape}, y of shape {y.shape}"
        )
    return x, y


def checked_inputs(part: str, x: Any) -> np.ndarray:
    """Returns float32 inputs of shape `(rows, ...)`, read-only."""
    x = np.asarray(x)
    if x.dtype.kind not in "buif" or x.ndim < 2:
        raise ValueError(
            f"`{part}` inputs must be an array of numbers of shape (rows, "
            f"...). Received: {x.dtype} of shape {x.shape}"
        )
    return _finite(part, "inputs", x)


def _targets(part: str, y: Any) -> np.ndarray:
    y = np.asarray(y)
    if y.dtype.kind == "f" and y.ndim:
        return _finite(part, "targets", y)
    if y.dtype.kind not in "bui" or y.ndim not in (1, 2):
        raise ValueError(
            f"`{part}` targets must be integer labels or floats, one row for "
            f"each input. Received: {y.dtype} of shape {y.shape}"
        )
    if y.size and not 0 <= int(y.min()) <= int(y.max()) < 2**31:
        raise ValueError(
            f"`{part}` labels must count from 0; real targets must come as "
            f"floats. Received: labels from {y.min()} to {y.max()}"
        )
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    return _frozen(y.astype("int32", copy=False))


def _finite(part: str, what: str, array: np.ndarray) -> np.ndarray:
    # What is too large for float32 becomes infinite here, and is refused.
    with np.errstate(over="ignore"):
        array = array.astype("float32", copy=False)
    if not len(array):
        raise ValueError(f"`{part}` must have a row or more. Received: none")
    if not np.isfinite(array).all():
        raise ValueError(
            f"`{part}` {what} must be finite float32 numbers. Received: "
            f"{int((~np.isfinite(array)).sum())} that are not"
        )
    return _frozen(array)


def _frozen(array: np.ndarray) -> np.ndarray:
    # A view: the caller's own array stays writeable.
    view = array.view()
    view.flags.writeable = False
    return view
