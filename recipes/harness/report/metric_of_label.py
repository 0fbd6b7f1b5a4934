"""From the label that a row holds back to the metric that reads cells."""

import math
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from ..contract.metrics import (
    Metric,
    at_best_epoch,
    final,
    gap,
    steps_to,
    value,
)
from ..engine.budget import OBJECTIVE

Row = Mapping[str, Any]


def metric_of_label(label: str) -> Metric:
    """Returns the metric of a label, so that it can be read of other rows.

    Verdict rows name their metric; the recipe itself would say it too, but
    to import one loads Keras.

    Args:
        label: String, `Metric.label`.

    Example:

    >>> metric_of_label("final test_error").read({"final": {"test_error": 0.2}})
    0.2
    """
    if match := re.fullmatch(r"final (\w+)", label):
        return final(match[1])
    if match := re.fullmatch(r"(\w+) at the best (\w+)", label):
        return at_best_epoch(match[1], monitor=match[2])
    if match := re.fullmatch(r"(updates|evaluations) to (\w+) ≤ (\S+)", label):
        return steps_to(match[2], float(match[3]), count=match[1])
    if match := re.fullmatch(r"(\w+) gap \(test - train\)", label):
        return gap(match[1])
    if match := re.fullmatch(r"best (\w+)", label):
        return Metric(label, partial(_highest, match[1]), _continuous)
    if label == "val_loss":
        return Metric(label, _own_or_lowest, _continuous)
    return value(label)


def _highest(name: str, row: Row) -> float:
    curve = [v for v in row["curves"][name] if math.isfinite(v)]
    return max(curve, default=math.nan)


def _own_or_lowest(row: Row) -> float:
    """Returns what a HyperModel's own `fit` gave, else the best epoch's."""
    values = row.get("values") or {}
    for name in (OBJECTIVE, "val_loss"):
        if name in values:
            return values[name]
    return at_best_epoch("val_loss", monitor="val_loss").read(row)


def _continuous(row: Row) -> float:
    return 0.0
