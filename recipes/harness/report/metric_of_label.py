"""From the label that a row holds back to the metric that reads cells."""

import re

from ..contract.metrics import (
    Metric,
    at_best_epoch,
    final,
    gap,
    steps_to,
    value,
)


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
    return value(label)
