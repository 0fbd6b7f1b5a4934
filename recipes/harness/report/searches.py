"""What a search tried, read from its rows of evidence."""

import ast
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contract.metrics import Metric
from ..evidence.source import parse

Row = Mapping[str, Any]

# Where the seeds of re-runs start; those of trials start at 1000.
FIRST_RERUN_SEED = 2000


@dataclass(frozen=True)
class Range:
    """Where a script lets a search look for a hyperparameter.

    Args:
        low: Its smallest value.
        high: Its largest value.
        log: Whether it is sampled by ratios.
    """

    low: float
    high: float
    log: bool = False

    def at_edge(self, value: float) -> bool:
        """Whether a value is in the outermost 2 % of the range."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = map(math.log, (value, low, high))
        return min(value - low, high - value) < 0.02 * (high - low)


@dataclass(frozen=True)
class Trial:
    """One point of a search.

    Args:
        settings: What was searched, by name.
        score: The mean of its runs; NaN if one has none.
        runs: How many.
        rerun: The mean over fresh seeds, where it ran again.
        reruns: How many fresh seeds.
    """

    settings: Mapping[str, Any]
    score: float
    runs: int
    rerun: float = math.nan
    reruns: int = 0


@dataclass(frozen=True)
class ArmSearch:
    """The search of one arm on one data condition.

    Args:
        arm: String.
        data: String. The condition.
        names: What was searched.
        trials: All points, in the order of their rows.
        ranges: The declared range of each name, where it is written out.
    """

    arm: str
    data: str
    names: Sequence[str]
    trials: Sequence[Trial]
    ranges: Mapping[str, Range]

    def tried(self, name: str) -> list[Trial]:
        """The trials that a hyperparameter had a value in."""
        return [t for t in self.trials if t.settings.get(name) is not None]

    @property
    def best(self) -> Trial | None:
        """The point of the lowest score, among those with all runs.

        Error rates tie often: the one that the search chose ran again.
        """
        most = max(trial.runs for trial in self.trials)
        whole = [
            t for t in self.trials if t.runs == most and math.isfinite(t.score)
        ]
        return min(
            whole,
            key=lambda trial: (round(trial.score, 9), -trial.reruns),
            default=None,
        )

    @property
    def warnings(self) -> list[str]:
        """A sentence for each best value at an end of its range."""
        best = self.best
        if best is None:
            return []
        return [
            f"{self.arm}: the best {name}, {best.settings[name]:.4g}, lies at "
            f"an end of its range ({limits.low:.4g} to {limits.high:.4g}); a "
            "wider one may hold a better value."
            for name, limits in self.ranges.items()
            if best.settings.get(name) is not None
            and limits.at_edge(best.settings[name])
        ]


def searches_of(
    rows: Iterable[Row],
    metric: Metric,
    ranges: Mapping[str, Range] | None = None,
) -> list[ArmSearch]:
    """Returns the searches that rows hold, by data condition and arm.

    Args:
        rows: Rows of a search; the latest of a cell counts.
        metric: What a trial is judged by.
        ranges: As `declared_ranges` returns them.
    """
    latest = {row["id"]: row for row in rows if row["kind"] == "cell"}
    groups: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in latest.values():
        group = groups.setdefault((row["data"], row["arm"]), {})
        # Hyperband tries a point with more and more epochs.
        point = [sorted(row["settings"].items()), row.get("allowance")]
        group.setdefault(str(point), []).append(row)
    return [
        _arm_search(data, arm, list(points.values()), metric, ranges or {})
        for (data, arm), points in groups.items()
    ]


def declared_ranges(file: Path) -> dict[str, Range]:
    """Returns the ranges that a script writes out as literals, by name.

    Only those of `hp.Float` and `hp.Int`; a name that is asked for with two
    ranges has none.
    """
    found: dict[str, set[Range]] = {}
    for node in ast.walk(parse(file.read_bytes(), file)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name("hp"), attr="Float" | "Int"),
                args=[ast.Constant(str(name)), *_],
            ):
                limits = _range(node)
                if limits is not None:
                    found.setdefault(name, set()).add(limits)
    return {name: r.pop() for name, r in found.items() if len(r) == 1}


def _range(call: ast.Call) -> Range | None:
    given: dict[str, Any] = dict(
        zip(("name", "min_value", "max_value"), call.args, strict=False)
    )
    given |= {k.arg: k.value for k in call.keywords if k.arg}
    try:
        low, high = (
            float(ast.literal_eval(given[end]))
            for end in ("min_value", "max_value")
        )
    except (KeyError, ValueError, TypeError):
        return None
    sampling = getattr(given.get("sampling"), "value", "linear")
    log = sampling == "log" and low > 0
    return Range(low, high, log) if low < high else None


def _arm_search(
    data: str,
    arm: str,
    points: Sequence[Sequence[Row]],
    metric: Metric,
    ranges: Mapping[str, Range],
) -> ArmSearch:
    settings = [point[0]["settings"] for point in points]
    names = [
        name
        for name in dict.fromkeys(n for s in settings for n in s)
        if len({str(s.get(name)) for s in settings}) > 1
    ]
    trials = []
    for point in points:
        searched = [r for r in point if r["seed"] < FIRST_RERUN_SEED]
        again = [r for r in point if r["seed"] >= FIRST_RERUN_SEED]
        trials.append(
            Trial(
                {name: point[0]["settings"].get(name) for name in names},
                _mean(metric, searched),
                len(searched),
                _mean(metric, again),
                len(again),
            )
        )
    return ArmSearch(arm, data, names, trials, ranges)


def _mean(metric: Metric, rows: Sequence[Row]) -> float:
    if not rows or any(row["status"] != "done" for row in rows):
        return math.nan
    try:
        return statistics.fmean(metric.read(row) for row in rows)
    except (LookupError, TypeError):
        return math.nan
