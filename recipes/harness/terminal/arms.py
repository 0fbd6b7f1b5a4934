"""The table of a run's arms: the headline's figure and the curve behind it."""

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ..verdict.result import Result
from .columns import columns
from .sparkline import sparkline
from .styles import number

# Overfitting shows in it, whatever the headline is about.
_CURVE = "val_loss"


def arms_table(result: Result, condition: str) -> RenderableType:
    """Returns the arms under a data condition, a line each.

    Beside its figures stands each arm's validation loss, averaged over the
    seeds, where the screen is wide enough for it.
    """
    records = [r for r in result.arms if r["data"] == condition]
    curves = _sparklines(result, condition)
    rows = [
        (
            record["arm"],
            _plus_minus(record["mean"], record["sd"]),
            curve,
            f"{record['seeds']}"
            + (f", {record['failed']} failed" if record["failed"] else ""),
            number(record["cpu_seconds"]),
        )
        for record, curve in zip(records, curves, strict=True)
    ]
    table = columns(
        ("arm", "mean ± sd", _CURVE, "seeds", "CPU s"),
        rows,
        words=("arm", _CURVE),
        spare=_CURVE,
    )
    caption = Text(records[0]["metric"] or "", "bold", overflow="fold")
    if condition:
        caption.append(f" on {condition}")
    return Group(caption, table)


def _sparklines(result: Result, condition: str) -> list[str]:
    curves = []
    for arm in result.plan.arms:
        place = ("done", condition, arm)
        mine = [
            row["curves"][_CURVE]
            for row in result.rows
            if (row["status"], row["data"], row["arm"]) == place
            and _CURVE in row.get("curves", {})
        ]
        curves.append(_mean_curve(mine))
    steps = max(map(len, curves), default=0)
    return [sparkline(curve, steps=steps) for curve in curves]


def _mean_curve(curves: Sequence[Sequence[float]]) -> list[float]:
    """Returns the mean at each epoch that half of the seeds got to.

    Where each seed stops in its own time, the last one alone would end it.
    """
    means = []
    for epoch in range(max(map(len, curves), default=0)):
        there = [curve[epoch] for curve in curves if epoch < len(curve)]
        if 2 * len(there) < len(curves):
            break
        finite = [value for value in there if math.isfinite(value)]
        means.append(math.fsum(finite) / len(finite) if finite else math.nan)
    return means


def _plus_minus(mean: float, sd: float) -> str:
    if not math.isfinite(mean):
        return "-" if math.isnan(mean) else str(mean)
    if not math.isfinite(sd):
        return number(mean)
    return f"{number(mean)} ± {number(sd)}"
