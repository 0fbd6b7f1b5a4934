"""What `fit` reports from the logs of the last step."""

from typing import Any

import keras


def reported(model: keras.Model, logs: Any) -> Any:
    """The metrics' results; under other names than theirs, the logs."""
    results = model.get_metrics_result()
    same = isinstance(logs, dict) and logs.keys() == results.keys()
    return results if same else logs


def as_floats(logs: dict) -> dict:
    """Flat logs with scalars as Python numbers, as `evaluate` has them."""
    flat = {}
    for name, value in sorted(logs.items()):
        if isinstance(value, dict):
            flat.update(as_floats(value))
        else:
            value = keras.ops.convert_to_numpy(value)
            flat[name] = float(value) if value.size == 1 else value
    return flat
