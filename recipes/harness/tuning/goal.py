"""The figure that a search goes by, and which way is better."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..contract.metrics import Metric, final
from ..engine.plan import Plan
from ..quiet_import import import_keras
from ..refusal import RefusalError
from ..report.metric_of_label import metric_of_label

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """What a search makes as low, or as high, as it can.

    Args:
        metric: Read from the row of a run; never from test data.
        direction: `"min"` or `"max"`.
        curve: Optional string. The validation curve that shows early how a
            run fares.
        early: Whether the metric can be read before a run's end.
    """

    metric: Metric
    direction: str = "min"
    curve: str | None = None
    early: bool = True

    @property
    def label(self) -> str:
        return self.metric.label

    def score(self, row: Row) -> float:
        """Returns a run's score; NaN if it failed, or did not say."""
        if row["status"] != "done":
            return math.nan
        try:
            return float(self.metric.read(row))
        except (LookupError, TypeError):
            return math.nan

    def so_far(self, row: Row) -> float:
        """Returns what a run would score if it ended now.

        Args:
            row: What there is of its row. Its last epoch's figures stand for
                those that are evaluated after training.
        """
        return self.score({**row, "status": "done"}) if self.early else math.nan


def goal_of(plan: Plan, objective: str | None) -> Goal:
    """Returns the goal of a search.

    Args:
        plan: The plan of what is searched.
        objective: Optional string. A logged figure, such as `"val_error"`,
            at its best epoch, or what a HyperModel's own `fit` returned by
            that name, with `min:` or `max:` before it where its name does not
            tell; by default the headline claim's metric on
            validation data, else `"val_loss"`.

    Raises:
        RefusalError: If it reads test data, or may be either way better.
    """
    if objective is not None:
        return _named(objective)
    for claim in plan.declared:
        metric = claim.metric.objective
        if metric is not None:
            better = getattr(claim, "better", "lower")
            direction = "max" if better == "higher" else "min"
            return Goal(metric, direction, _curve(metric.label))
    if plan.declared:
        return Goal(final("val_loss"), curve="val_loss")
    # A HyperModel's `fit` may return its objective; KerasTuner minimizes it.
    return Goal(
        metric_of_label("val_loss"),
        curve="val_loss",
        early=not plan.returns_score,
    )


def _named(objective: str) -> Goal:
    word, _, name = objective.rpartition(":")
    if "test" in name:
        raise RefusalError(
            "`objective` must not read test data. "
            f"Received: objective={objective!r}"
        )
    import_keras()
    from ....callbacks.stopping.monitored_metric import metric_direction

    direction = word or metric_direction(name) or _usual(name)
    if direction not in ("min", "max"):
        raise RefusalError(
            f"say whether a low or a high {name} is better, min:{name} or "
            f"max:{name}. Received: objective={objective!r}"
        )
    label = f"{name} at the best {name}"
    if direction == "max":
        label = f"best {name}"
    return Goal(metric_of_label(label), direction, name)


def _usual(name: str) -> str | None:
    """Returns the direction of figures that have a name in the field."""
    last = name.rpartition("_")[-1]
    if last in ("rmse", "mse", "mae", "perplexity"):
        return "min"
    return "max" if last in ("acc", "auc", "precision", "recall") else None


def _curve(label: str) -> str | None:
    """Returns the curve behind a metric, if its label names one."""
    words = [w for w in label.split() if w.startswith("val_")]
    return words[0] if words else None
