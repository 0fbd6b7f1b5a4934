"""What a callback must know of the metric that it monitors."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def read_metric(
    name: str, logs: Mapping[str, Any], may_be_missing: bool, remedy: str
) -> float | None:
    """Returns a metric's logged value.

    Args:
        name: String. The metric's name in the logs, such as `"val_loss"`.
        logs: Mapping. The logs of an epoch's end.
        may_be_missing: Boolean. `True` excuses a validation metric in an
            epoch that ended without validation.
        remedy: String. What to change if validation has not run in time; it
            ends the error message.

    Returns:
        Float, or `None` for an excused metric.

    Raises:
        ValueError: If the metric is missing, the message then lists the logs,
            or not one number.

    Example:

    >>> read_metric("loss", {"loss": 0.5}, False, "")
    0.5
    """
    if name in logs:
        value = np.asarray(logs[name])
        if value.size != 1:
            raise ValueError(
                "A monitored metric must be one number, so average its "
                f"values. Received: `{name}` of shape {value.shape}"
            )
        return float(value.item())
    validated = any(key.startswith("val_") for key in logs)
    waits = name.startswith("val_") and not validated
    if waits and may_be_missing:
        return None
    available = ", ".join(f"`{key}`" for key in logs) or "none at all"
    raise ValueError(
        f"A monitored metric must be in the logs of an epoch's end, which "
        f"are: {available}. "
        + (f"No validation has run: {remedy}. " if waits else "")
        + f"Received: `{name}`"
    )


def metric_direction(name: str, model: Any = None) -> str | None:
    """Tells whether a lower or a higher value of a metric is better.

    A Keras metric of the model knows. It is found by its name, with `val_`
    and, where a model has several outputs, the output's name before it. For
    any other metric the last word decides: `loss` and `error` are better the
    lower, `accuracy` the higher.

    Args:
        name: String. The metric's name in the logs, such as `"val_loss"`.
        model: Optional Keras model, whose metrics are asked first.

    Returns:
        `"min"`, `"max"`, or `None` if it cannot be told.

    Example:

    >>> metric_direction("val_decoder_error")
    'min'
    >>> metric_direction("val_perplexity") is None
    True
    """
    name = name.removeprefix("val_")
    for metric in _metrics(model):
        if name == metric.name or name.endswith(f"_{metric.name}"):
            # Keras tells nobody but its own callbacks.
            direction = getattr(metric, "_direction", None)
            if direction is not None:
                return "max" if direction == "up" else "min"
    last_word = name.rpartition("_")[-1]
    return {"loss": "min", "error": "min", "accuracy": "max"}.get(last_word)


def _metrics(model: Any) -> list[Any]:
    metrics = []  # type: ignore[var-annotated]
    for metric in getattr(model, "metrics", []):
        # Those passed to `compile` come as one metric that holds the others.
        metrics += getattr(metric, "metrics", [metric])
    return metrics
