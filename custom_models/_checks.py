"""What `fit_in_memory` and `evaluate_in_memory` refuse at the door."""

from typing import Any

import keras
import numpy as np

from ._batches import is_array, leaves


def check_arguments(model: keras.Model, arguments: dict[str, Any]) -> None:
    """Refuses what is out of range, naming what came."""
    if not model.compiled:
        raise ValueError("The model must be compiled: call `model.compile()`.")
    for name in ("batch_size", "steps_per_epoch", "validation_batch_size"):
        value = arguments.get(name)
        if value is not None and value < 1:
            raise ValueError(
                f"`{name}` must be at least 1. Received: {name}={value}"
            )
    split = arguments.get("validation_split", 0.0)
    if not 0 <= split < 1:
        raise ValueError(
            "`validation_split` must be a fraction in [0, 1). "
            f"Received: validation_split={split}"
        )
    arrays = [arguments[name] for name in ("x", "y", "sample_weight")]
    all_arrays = all(map(is_array, leaves(arrays)))
    if all_arrays and leaves(arrays[0]):
        _check_lengths(*arrays)
    validation = arguments.get("validation_data")
    if validation is not None:
        parts = keras.utils.unpack_x_y_sample_weight(validation)
        x, y, weights = parts
        if all(map(is_array, leaves(parts))) and leaves(x):
            _check_lengths(x, y, weights, prefix="validation ")
    shuffle = arguments.get("shuffle", True)
    if isinstance(shuffle, np.random.Generator):
        if not all_arrays:
            raise ValueError(
                "A generator as `shuffle` needs `x`, `y` and `sample_weight` "
                "made of dense numeric arrays."
            )
    elif not isinstance(shuffle, str) and shuffle not in (True, False):
        raise ValueError(
            "`shuffle` must be a boolean or a `numpy.random.Generator`. "
            f"Received: shuffle={shuffle}"
        )


def _check_lengths(
    x: Any, y: Any = None, sample_weight: Any = None, prefix: str = ""
) -> None:
    lengths = {
        prefix + name: sorted({int(leaf.shape[0]) for leaf in leaves(arrays)})
        for name, arrays in (
            ("x", x),
            ("y", y),
            ("sample_weight", sample_weight),
        )
        if leaves(arrays)
    }
    if len({length for found in lengths.values() for length in found}) != 1:
        received = ", ".join(
            f"{name} of {' and '.join(map(str, found))}"
            for name, found in lengths.items()
        )
        raise ValueError(
            "All arrays must hold the same number of samples. "
            f"Received: {received}"
        )
    if lengths[f"{prefix}x"] == [0]:
        raise ValueError(
            f"There must be at least one sample. Received: {prefix}x of 0"
        )
