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
from .search_range import Range, range_of

Row = Mapping[str, Any]

# Where the seeds of re-runs start; those of trials start at 1000.
FIRST_RERUN_SEED = 2000


@dataclass(frozen=True)
class Trial:
    """One point of a search.

    Args:
        settings: What was searched, by name.
        score: The mean of its runs; NaN if one has none.
        runs: How many.
        rerun: The mean over fresh seeds, where it ran again.
        reruns: How many fresh seeds.
        number: The oracle's number of it, where that is known.
        scores: The score of each run; NaN if it has none.
        failed: How many runs failed.
        ended: Whether a run was ended for being hopeless; it cannot win.
        epochs: What Hyperband let it train, 0 elsewhere.
    """

    settings: Mapping[str, Any]
    score: float
    runs: int
    rerun: float = math.nan
    reruns: int = 0
    number: str = ""
    scores: Sequence[float] = ()
    failed: int = 0
    ended: bool = False
    epochs: int = 0


@dataclass(frozen=True)
class ArmSearch:
    """The search of one arm on one data condition.

    Args:
        arm: String.
        data: String. The condition.
        names: What was searched.
        trials: All points, in the order of their rows.
        ranges: The range of each name, where it is known.
        direction: `"min"` or `"max"`: which way a score is better.
    """

    arm: str
    data: str
    names: Sequence[str]
    trials: Sequence[Trial]
    ranges: Mapping[str, Range]
    direction: str = "min"

    @property
    def sign(self) -> int:
        """What makes the better of two scores the lower one."""
        return -1 if self.direction == "max" else 1

    def tried(self, name: str) -> list[Trial]:
        """The trials that a hyperparameter had a value in."""
        return [t for t in self.trials if t.settings.get(name) is not None]

    @property
    def contenders(self) -> list[Trial]:
        """The trials that may win, in their order.

        Those with all runs and a score, none of them ended, which trained as
        long as any.
        """
        most = max((trial.runs for trial in self.trials), default=0)
        whole = [
            t
            for t in self.trials
            if t.runs == most and math.isfinite(t.score) and not t.ended
        ]
        longest = max((trial.epochs for trial in whole), default=0)
        return [trial for trial in whole if trial.epochs == longest]

    @property
    def best(self) -> Trial | None:
        """The contender of the best score.

        Error rates tie often: the one that the search chose ran again.
        """
        return min(
            self.contenders,
            key=lambda t: (self.sign * round(t.score, 9), -t.reruns),
            default=None,
        )

    @property
    def warnings(self) -> list[str]:
        """A sentence for each best value at an end of its range."""
        best = self.best
        if best is None:
            return []
        told = (
            limits.warning(name, best.settings.get(name), self.arm)
            for name, limits in self.ranges.items()
        )
        return [sentence for sentence in told if sentence]


def searches_of(
    rows: Iterable[Row],
    metric: Metric,
    ranges: Mapping[str, Range] | None = None,
    direction: str = "min",
    asked: Sequence[Row] = (),
) -> list[ArmSearch]:
    """Returns the searches that rows hold, by data condition and arm.

    Args:
        rows: Rows of a search; the latest of a cell counts.
        metric: What a trial is judged by.
        ranges: As `declared_ranges` returns them.
        direction: `"min"` or `"max"`: which way the metric is better.
        asked: Rows of the journal, where trials are told by it: their
            numbers, their order and all that was searched.
    """
    latest = {row["id"]: row for row in rows if row["kind"] == "cell"}
    numbers = {id_: row["trial"] for row in asked for id_ in row["cells"]}
    first = [latest[id_] for id_ in numbers if id_ in latest]
    groups: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in {row["id"]: row for row in [*first, *latest.values()]}.values():
        group = groups.setdefault((row["data"], row["arm"]), {})
        point = [sorted(row["settings"].items()), _epochs(row)]
        group.setdefault(str(point), []).append(row)
    searched = list(dict.fromkeys(n for row in asked for n in row["settings"]))
    return [
        ArmSearch(
            arm,
            data,
            names := searched or _varied(list(points.values())),
            [_trial(rows, names, metric, numbers) for rows in points.values()],
            ranges or {},
            direction,
        )
        for (data, arm), points in groups.items()
    ]


def declared_ranges(file: Path) -> dict[str, Range]:
    """Returns the ranges that a script writes out as literals, by name.

    Those of `hp.Float`, `hp.Int` and, where it has an order, `hp.Choice`; a
    name that is asked for with two ranges has none.
    """
    found: dict[str, set[Range]] = {}
    for node in ast.walk(parse(file.read_bytes(), file)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name("hp"), attr=kind),
                args=[ast.Constant(str(name)), *_],
            ) if kind in _ARGUMENTS:
                limits = _range(kind, node)
                if limits is not None:
                    found.setdefault(name, set()).add(limits)
    return {name: r.pop() for name, r in found.items() if len(r) == 1}


_NUMBER = ("name", "min_value", "max_value", "step", "sampling")
_ARGUMENTS = {
    "Float": _NUMBER,
    "Int": _NUMBER,
    "Choice": ("name", "values", "ordered"),
}


def _range(kind: str, call: ast.Call) -> Range | None:
    given: dict[str, Any] = dict(zip(_ARGUMENTS[kind], call.args, strict=False))
    given |= {k.arg: k.value for k in call.keywords if k.arg}
    try:
        config = {
            name: ast.literal_eval(given[name])
            for name in _ARGUMENTS[kind]
            if name in given
        }
        if kind == "Choice":
            # As KerasTuner does: numbers have an order unless told otherwise.
            numbers = all(isinstance(v, int | float) for v in config["values"])
            config.setdefault("ordered", numbers)
        return range_of({"kind": kind, **config})
    except (KeyError, ValueError, TypeError, IndexError):
        return None


def _varied(points: Sequence[Sequence[Row]]) -> list[str]:
    """Returns the names that have more than one value."""
    settings = [point[0]["settings"] for point in points]
    return [
        name
        for name in dict.fromkeys(n for s in settings for n in s)
        if len({str(s.get(name)) for s in settings}) > 1
    ]


def _trial(
    rows: Sequence[Row],
    names: Sequence[str],
    metric: Metric,
    numbers: Mapping[str, str],
) -> Trial:
    searched = [r for r in rows if r["seed"] < FIRST_RERUN_SEED]
    scores = [_score(metric, row) for row in searched]
    again = [_score(metric, r) for r in rows if r["seed"] >= FIRST_RERUN_SEED]
    return Trial(
        settings={name: rows[0]["settings"].get(name) for name in names},
        score=statistics.fmean(scores) if scores else math.nan,
        runs=len(scores),
        rerun=statistics.fmean(again) if again else math.nan,
        reruns=len(again),
        number=next((numbers[r["id"]] for r in rows if r["id"] in numbers), ""),
        scores=scores,
        failed=sum(row["status"] == "failed" for row in searched),
        ended=any("ended" in row for row in searched),
        epochs=_epochs(rows[0]),
    )


def _epochs(row: Row) -> int:
    """Returns what Hyperband let a run train; more and more, at one point."""
    return int((row.get("allowance") or {}).get("epochs") or 0)


def _score(metric: Metric, row: Row) -> float:
    if row["status"] != "done":
        return math.nan
    try:
        return float(metric.read(row))
    except (LookupError, TypeError):
        return math.nan
