"""What a run came to: rows, a table, a verdict on each claim."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.plan import Plan
from ..evidence.evidence import finite
from .comparison import Comparison

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """The outcome of `recipe.run()`; in a notebook it shows itself.

    Args:
        plan: What was to be run.
        rows: The evidence rows of its cells.
        comparisons: What they say of each claim, the headline first.
        ran: How many of the cells this call ran.
        path: The evidence file.
    """

    plan: Plan
    rows: Sequence[Row]
    comparisons: Sequence[Comparison]
    ran: int
    path: Path

    @property
    def verdicts(self) -> list[str | None]:
        """The word on each claim; None where none is given yet."""
        return [comparison.word for comparison in self.comparisons]

    @property
    def failed(self) -> list[Row]:
        """Rows whose cell failed and has not succeeded since."""
        latest = {row["id"]: row for row in self.rows}
        return [r for r in latest.values() if r["status"] == "failed"]

    @property
    def arms(self) -> list[dict[str, Any]]:
        """One record for each arm under each data condition.

        The figure is the headline claim's metric, though its other arm was
        left out: its mean and standard deviation over the seeds.
        """
        claims = self.plan.claims or self.plan.declared
        metric = claims[0].metric if claims else None
        latest = {row["id"]: row for row in self.rows}
        records = []
        for condition in self.plan.conditions:
            for arm in self.plan.arms:
                mine = [
                    row
                    for row in latest.values()
                    if row["arm"] == arm and row["data"] == condition
                ]
                done = [row for row in mine if row["status"] == "done"]
                records.append(
                    {
                        "arm": arm,
                        "data": condition,
                        "settings": self.plan.arms[arm][condition],
                        "seeds": len(done),
                        "failed": len(mine) - len(done),
                        "metric": metric.label if metric else None,
                        **_summary(metric, done),
                        "cpu_seconds": _mean(
                            [row["cost"]["cpu_seconds"] for row in done]
                        ),
                    }
                )
        return records

    @property
    def table(self) -> str:
        """The table of a terminal, 80 columns wide, without colour."""
        from ..terminal.terminal import render

        return render(self)

    def to_json(self) -> dict[str, Any]:
        """Returns what `regimen run --json` prints; None is no number."""
        return finite(
            {
                "recipe": self.plan.recipe,
                "scale": self.plan.scale,
                "verdict": self.verdicts[0] if self.verdicts else None,
                "comparisons": [c.to_json() for c in self.comparisons],
                "arms": self.arms,
                "rows": list(self.rows),
            }
        )

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: a table, and a plot of each claim."""
        from ..report.notebook import notebook

        return notebook(
            recipe=self.plan.recipe,
            summary=self.plan.summary,
            claims=[comparison.to_json() for comparison in self.comparisons],
            arms=self.arms,
            failed=self.failed,
        )


def _summary(metric: Any, rows: Sequence[Row]) -> dict[str, Any]:
    try:
        values = [float(metric.read(row)) for row in rows] if metric else []
    except LookupError:
        values = []
    spread = math.nan
    if len(values) > 1 and all(map(math.isfinite, values)):
        spread = float(np.std(values, ddof=1))
    return {"mean": _mean(values), "sd": spread}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
