"""What a terminal shows of a result: arms, claims, intervals."""

import math
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..contract.claim import Exact
from ..verdict.comparison import Comparison
from ..verdict.result import Result
from ..verdict.verdict import collapse_bound
from .console import plain
from .styles import STYLES, number, rounded

_BAR = 33  # Columns of an interval bar, zero in the middle one.


def render(result: Result, width: int = 80) -> str:
    """Returns a result as plain text."""
    return plain(view(result), width)


def view(result: Result) -> RenderableType:
    """Returns a result for a Rich console."""
    plan = result.plan
    head = Text.assemble((plan.recipe, "bold"), " · ", plan.summary)
    parts: list[RenderableType] = [head, ""]
    for condition in plan.conditions:
        parts += [_arms(result, condition), ""]
    for place, comparison in enumerate(result.comparisons, start=1):
        parts += [_claim(place, comparison, plan.scale), ""]
    if result.failed:
        parts.append(_failures(result))
    finished = len({row["id"] for row in result.rows})
    parts.append(
        Text(
            f"{finished} of {len(plan.cells)} cells finished, {result.ran} of "
            f"them now · {plan.scale} scale · {plan.seeds} seeds",
            style="dim",
        )
    )
    parts.append(Text(f"evidence: {result.path}", style="dim", overflow="fold"))
    return Group(*parts)


def _arms(result: Result, condition: str) -> Table:
    records = [r for r in result.arms if r["data"] == condition]
    figures = [_plus_minus(r["mean"], r["sd"]) for r in records]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    # Where it gets narrow, names are broken and figures stand.
    table.add_column(
        f"arm, on {condition}" if condition else "arm", overflow="fold"
    )
    table.add_column(
        records[0]["metric"] or "",
        justify="right",
        overflow="fold",
        min_width=max(map(len, figures)),
    )
    table.add_column("seeds", justify="right", no_wrap=True)
    table.add_column("CPU s", justify="right", no_wrap=True)
    for record, figure in zip(records, figures, strict=True):
        seeds = f"{record['seeds']}"
        if record["failed"]:
            seeds += f", {record['failed']} failed"
        table.add_row(
            record["arm"],
            figure,
            seeds,
            number(record["cpu_seconds"]),
        )
    return table


def _claim(place: int, comparison: Comparison, scale: str) -> RenderableType:
    claim = comparison.claim
    word = comparison.word or _waiting(comparison, scale)
    head = Text.assemble(
        f"{place}. ",
        (word, STYLES.get(comparison.word or "", "dim")),
        f"  {claim.statement}",
        (f" (on {claim.on})" if claim.on else "", "dim"),
    )
    lines = [Text(line, style="dim") for line in _figures(comparison)]
    bar = interval_bar(comparison)
    if bar:
        lines.insert(0, Text(bar))
    return Group(head, Padding(Group(*lines), (0, 0, 0, 3)))


def _waiting(comparison: Comparison, scale: str) -> str:
    if scale == "smoke":
        return "no verdict at smoke scale"
    return f"{comparison.done} of {comparison.seeds} seeds"


def _figures(comparison: Comparison) -> list[str]:
    claim, verdict = comparison.claim, comparison.verdict
    if isinstance(claim, Exact):
        return [verdict.reason] if verdict else []
    lines = []
    if verdict is not None and verdict.low is not None:
        unit = claim.smallest_effect
        mean, low, high = (
            rounded(x, unit) for x in (verdict.mean, verdict.low, verdict.high)
        )
        lines.append(
            f"gain {mean} [{low}, {high}] in {claim.metric}, matters from "
            f"{number(unit)}"
        )
    if comparison.done and comparison.sides:
        means = ", ".join(
            f"{side.arm} {number(side.mean)}" for side in comparison.sides
        )
        spread = ""
        if verdict is not None and verdict.sd is not None:
            spread = (
                f"; n = {verdict.n}, s = {number(verdict.sd)}, detectable "
                f"{number(verdict.minimum_detectable)}"
            )
        lines.append(means + spread)
    if verdict is None:
        return lines
    if verdict.word in ("failed", "underpowered"):
        lines.append(verdict.reason)
    if comparison.improvement is not None:
        lines.append(
            f"better in {comparison.improvement:.0%} of the pairs"
            + _cost(comparison)
        )
    if comparison.new_data is not None:
        low, high = (
            rounded(end, claim.smallest_effect) for end in comparison.new_data
        )
        lines.append(
            "on this data and budget, over splits and seeds; for new data "
            f"from the same source [{low}, {high}]"
        )
    return lines + _mishaps(comparison)


def _cost(comparison: Comparison) -> str:
    ratios = dict(comparison.cost or {})
    if ratios.get("evaluations") == ratios.get("updates"):
        ratios.pop("evaluations", None)
    names = {
        "updates": "updates",
        "evaluations": "gradient evaluations",
        "cpu_seconds": "CPU seconds",
    }
    told = [f"{ratios[k]:.2f} x {names[k]}" for k in names if k in ratios]
    return f", at {', '.join(told)}" if told else ""


def _mishaps(comparison: Comparison) -> list[str]:
    lines = []
    for side in comparison.sides:
        n = len(side.values)
        if side.missed:
            lines.append(
                f"{side.missed} of {n} runs of {side.arm} never got there"
            )
        if side.collapsed:
            lines.append(
                f"{side.collapsed} of {n} runs of {side.arm} learned nothing"
            )
    if comparison.done and not any(s.collapsed for s in comparison.sides):
        lines.append(
            f"collapsed runs: 0 of {comparison.done} (the rate could be up to "
            f"{collapse_bound(comparison.done):.0%})"
        )
    return lines


def interval_bar(comparison: Comparison) -> str | None:
    """Returns the interval drawn around zero, claimed direction to the right.

    The smallest effect that matters stands as `┊` on both sides.
    """
    verdict, claim = comparison.verdict, comparison.claim
    if verdict is None or isinstance(claim, Exact):
        return None
    low, mean, high = verdict.low, verdict.mean, verdict.high
    if low is None or mean is None or high is None:
        return None
    reach = max(-low, high, 1.2 * claim.smallest_effect)
    if not math.isfinite(reach) or reach == 0:
        return None
    middle = _BAR // 2

    def column(x: float) -> int:
        return middle + round(x / reach * middle)

    bar = [" "] * _BAR
    for x in range(column(low), column(high) + 1):
        bar[x] = "━"
    bar[middle] = "┃" if bar[middle] == "━" else "│"
    for x in (column(claim.smallest_effect), column(-claim.smallest_effect)):
        bar[x] = "╏" if bar[x] == "━" else "┊"
    bar[column(mean)] = "●"
    return "worse " + "".join(bar) + " better"


def _failures(result: Result) -> RenderableType:
    count = len(result.failed)
    cells = "cell" if count == 1 else "cells"
    lines: list[Any] = [Text(f"{count} {cells} failed", "bold red")]
    reasons: dict[str, list[str]] = {}
    for row in result.failed:
        parts = (row["data"], row["arm"], str(row["seed"]))
        place = "/".join(part for part in parts if part)
        reasons.setdefault(row["error"], []).append(place)
    for reason, places in reasons.items():
        lines.append(Text(f"  {', '.join(places)}: {reason}"))
    lines.append(Text("  --retry-failed runs them again"))
    return Group(*lines, "")


def _plus_minus(mean: float, sd: float) -> str:
    if not math.isfinite(mean):
        return "-" if math.isnan(mean) else str(mean)
    if not math.isfinite(sd):
        return number(mean)
    return f"{number(mean)} ± {number(sd)}"
