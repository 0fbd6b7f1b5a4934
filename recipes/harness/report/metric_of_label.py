"""From the label that a row holds back to the metric that reads cells."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
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
        metric = at_best_epoch(match[1], monitor=match[2])
        if match[1] != match[2]:
            return metric
        read = partial(_returned_or, match[1], metric.read)
        return replace(metric, read=read)
    if match := re.fullmatch(r"(updates|evaluations) to (\w+) ≤ (\S+)", label):
        return steps_to(match[2], float(match[3]), count=match[1])
    if match := re.fullmatch(r"(\w+) gap \(test - train\)", label):
        return gap(match[1])
    if match := re.fullmatch(r"best (\w+)", label):
        read = partial(_returned_or, match[1], partial(_highest, match[1]))
        return Metric(label, read, _continuous)
    if label == "val_loss":
        return Metric(label, _own_or_lowest, _continuous)
    return value(label)


def _highest(name: str, row: Row) -> float:
    curve = [v for v in row["curves"][name] if math.isfinite(v)]
    return max(curve, default=math.nan)


def _returned_or(name: str, read: Callable[[Row], float], row: Row) -> float:
    """Returns what a HyperModel's own `fit` gave, else what a curve says."""
    values = row.get("values") or {}
    return values[name] if name in values else read(row)


def _own_or_lowest(row: Row) -> float:
    lowest = metric_of_label("val_loss at the best val_loss").read
    return _returned_or(OBJECTIVE, lowest, row)


def _continuous(row: Row) -> float:
    return 0.0
