"""From rows of evidence to the word on each claim."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..contract.claim import Claim, Exact
from ..engine.plan import Plan
from .verdict import (
    Verdict,
    collapse_bound,
    judge,
    new_data_interval,
    probability_of_improvement,
)

Row = Mapping[str, Any]

# A run whose test error is this close to that of the best constant
# prediction has not learned: it is counted as collapsed.
_CHANCE_MARGIN = 0.95


@dataclass(frozen=True)
class Side:
    """One arm of a comparison.

    Args:
        arm: String.
        values: The claim's metric, by seed; NaN where a run has none.
        missed: How many never reached what the metric waits for.
        collapsed: How many learned nothing.
        cost: Mean updates, gradient evaluations and CPU seconds of a run.
    """

    arm: str
    values: tuple[float, ...]
    missed: int
    collapsed: int
    cost: Mapping[str, float]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values)) if self.values else math.nan


@dataclass(frozen=True)
class Comparison:
    """What the evidence says of one claim.

    Args:
        claim: The claim.
        done: Seeds whose runs are all in.
        seeds: Seeds that the word waits for.
        sides: The arms: treatment and baseline, or those of an `Exact`.
        verdict: The verdict, or None while seeds are missing or at smoke
            scale.
        improvement: The share of pairs in which the treatment was better.
        new_data: The interval for new data from the same source, where each
            seed redraws the split.
        cost: Treatment over baseline, by kind of cost.
    """

    claim: Claim | Exact
    done: int
    seeds: int
    sides: tuple[Side, ...]
    verdict: Verdict | None = None
    improvement: float | None = None
    new_data: tuple[float, float] | None = None
    cost: Mapping[str, float] | None = None

    @property
    def word(self) -> str | None:
        return self.verdict.word if self.verdict else None

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, as `--json` and verdict rows hold them."""
        claim = self.claim
        return {
            "statement": claim.statement,
            "source": claim.source,
            "metric": claim.metric.label,
            "on": claim.on,
            "smallest_effect": getattr(claim, "smallest_effect", None),
            "at_most": getattr(claim, "at_most", None),
            "better": getattr(claim, "better", "lower"),
            "arms": [
                {**asdict(side), "values": list(side.values)}
                for side in self.sides
            ],
            "done": self.done,
            "seeds": self.seeds,
            "verdict": self.word,
            **({} if self.verdict is None else asdict(self.verdict)),
            "probability_of_improvement": self.improvement,
            "collapsed_at_most": collapse_bound(self.done)
            if self.done
            else None,
            "new_data": self.new_data,
            "cost": self.cost,
        }


def compare(plan: Plan, rows: Iterable[Row], look: int = 0) -> list[Comparison]:
    """Returns a comparison for each claim of a plan.

    Args:
        plan: What was to be run.
        rows: Rows of evidence; those of other cells are passed over.
        look: Integer. How many words were asked for before, at other numbers
            of seeds. Each halves the error that this one may spend.
    """
    wanted = {cell.id: cell for cell in plan.cells}
    by_place: dict[tuple[str, str, int], Row] = {}
    for row in rows:
        cell = wanted.get(row.get("id", ""))
        if cell is not None:
            place = (cell.data, cell.arm, cell.seed)
            known = by_place.get(place)
            if known is None or known["status"] == "failed":
                by_place[place] = row
    statistical = sum(isinstance(c, Claim) for c in plan.claims)
    parts = max(1, statistical) * 2**look
    return [_compare(claim, plan, by_place, parts) for claim in plan.claims]


def _compare(
    claim: Claim | Exact,
    plan: Plan,
    rows: Mapping[tuple[str, str, int], Row],
    parts: int,
) -> Comparison:
    arms = claim.arms or tuple(plan.arms)
    on = claim.on or ""
    complete = [
        seed
        for seed in range(plan.seeds)
        if all((on, arm, seed) in rows for arm in arms)
    ]
    mine = {arm: [rows[on, arm, seed] for seed in complete] for arm in arms}
    try:
        sides = tuple(_side(claim, arm, mine[arm]) for arm in arms)
    except LookupError as error:
        verdict = Verdict("failed", f"{error.args[0]}.", len(complete), 0)
        return Comparison(claim, len(complete), plan.seeds, (), verdict)
    comparison = Comparison(claim, len(complete), plan.seeds, sides)
    if len(complete) < plan.seeds or plan.scale == "smoke":
        return comparison
    if isinstance(claim, Exact):
        return _with(comparison, verdict=_within(claim, sides))
    treatment, baseline = sides
    differences = [
        claim.gain(t, b)
        for t, b in zip(treatment.values, baseline.values, strict=True)
    ]
    reason = _failure(claim, plan, mine)
    if reason is not None:
        verdict = Verdict("failed", reason, len(differences), 0)
        return _with(comparison, verdict=verdict)
    first = mine[claim.treatment][0]
    verdict = judge(
        differences,
        claim.smallest_effect,
        parts=parts,
        resolution=claim.metric.resolution(first),
    )
    redrawn = {row.get("fingerprint") for row in mine[claim.treatment]}
    new_data = None
    if verdict.low is not None and len(redrawn) > 1 and "items" in first:
        items = first["items"]
        new_data = new_data_interval(
            verdict, parts, items["train"], items["test"]
        )
    return _with(
        comparison,
        verdict=verdict,
        improvement=probability_of_improvement(differences),
        new_data=new_data,
        cost={
            kind: treatment.cost[kind] / baseline.cost[kind]
            for kind in treatment.cost
            if baseline.cost.get(kind)
        },
    )


def _with(comparison: Comparison, **changes: Any) -> Comparison:
    return Comparison(**{**vars(comparison), **changes})


def _side(claim: Claim | Exact, arm: str, rows: Sequence[Row]) -> Side:
    worst = getattr(claim, "worst", None)
    values, missed, collapsed = [], 0, 0
    for row in rows:
        value = math.nan
        if row["status"] == "done":
            value = float(claim.metric.read(row))
            missed += claim.metric.missed(row)
        if worst is not None and not math.isfinite(value):
            value = worst
        values.append(value)
        collapsed += _collapsed(row)
    finished = [row for row in rows if row["status"] == "done"]
    cost = {
        kind: float(np.mean(figures))
        for kind, read in _COSTS.items()
        if (figures := [f for r in finished if (f := read(r)) is not None])
    }
    return Side(arm, tuple(values), missed, collapsed, cost)


_COSTS = {
    "updates": lambda row: row.get("updates"),
    "evaluations": lambda row: row.get("evaluations"),
    "cpu_seconds": lambda row: row["cost"].get(
        "fit_cpu_seconds", row["cost"]["cpu_seconds"]
    ),
}


def _collapsed(row: Row) -> bool:
    if row["status"] != "done":
        return True
    final = row.get("final", {})
    error = final.get("test_error", final.get("test_rmse"))
    if error is None or not row.get("chance"):
        return False
    return not error < _CHANCE_MARGIN * row["chance"]


def _failure(
    claim: Claim, plan: Plan, rows: Mapping[str, Sequence[Row]]
) -> str | None:
    """Returns why there is nothing to judge, before any statistics."""
    treatment, baseline = (plan.arms[arm][claim.on or ""] for arm in claim.arms)
    if treatment == baseline:
        return "Both arms have the same settings."
    failed = sum(r["status"] != "done" for side in rows.values() for r in side)
    if failed and claim.worst is None:
        return (
            f"{failed} of {2 * plan.seeds} runs failed, and the claim "
            "declares no `worst` for them."
        )
    return None


def _within(claim: Exact, sides: Sequence[Side]) -> Verdict:
    """Judges a tolerance: it holds in every seed, or it does not hold."""
    values = [value for side in sides for value in side.values]
    if not values or not all(math.isfinite(value) for value in values):
        return Verdict("failed", "A run has no value.", len(values), 1)
    largest = max(values)
    inside = largest <= claim.at_most
    return Verdict(
        "reproduced" if inside else "opposite",
        f"The largest of {len(values)} values is {largest:.3g}, "
        f"{'within' if inside else 'above'} {claim.at_most:g}.",
        len(values),
        1,
        mean=float(np.mean(values)),
    )
