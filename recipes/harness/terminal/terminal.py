"""What a terminal shows of a result: arms, claims, intervals."""

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..contract.claim import Exact
from ..verdict.comparison import Comparison
from ..verdict.result import Result
from ..verdict.verdict import collapse_bound
from .arms import arms_table
from .console import Fitted, plain
from .interval_bar import interval_bar
from .styles import STYLES, number, path_line, rounded

_BAR = 33  # Columns of an interval bar, where there are so many.
_BAR_WORDS = len("worse  better")


def render(result: Result, width: int = 80) -> str:
    """Returns a result as plain text."""
    return plain(view(result), width)


def view(result: Result) -> RenderableType:
    """Returns a result for a Rich console."""
    plan = result.plan
    head = Text.assemble((plan.recipe, "bold"), " · ", plan.summary)
    parts: list[RenderableType] = [head, ""]
    for condition in plan.conditions:
        parts += [arms_table(result, condition), ""]
    for place, comparison in enumerate(result.comparisons, start=1):
        parts += [_claim(place, comparison, plan.scale), ""]
    if result.failed:
        parts.append(_failures(result))
    if any(comparison.new_data for comparison in result.comparisons):
        parts.append(
            Text(
                "Gains are on this data and budget, over splits and seeds.",
                style="dim",
            )
        )
    finished = len({row["id"] for row in result.rows})
    computation = f" · {plan.computation}" if str(plan.computation) else ""
    parts.append(
        Text(
            f"{finished} of {len(plan.cells)} cells finished, {result.ran} of "
            f"them now · {plan.scale} scale · {plan.seeds} seeds{computation}",
            style="dim",
        )
    )
    parts.append(path_line("evidence", result.path))
    return Group(*parts)


def _claim(place: int, comparison: Comparison, scale: str) -> RenderableType:
    claim = comparison.claim
    number_ = f"{place}. "
    head = Text.assemble(
        number_,
        (
            comparison.word or _waiting(comparison, scale),
            STYLES.get(comparison.word or "", "dim"),
        ),
        (f" · {claim.metric}", "dim"),
        (f" on {claim.on}" if claim.on else "", "dim"),
    )
    body: list[RenderableType] = [Text(claim.statement)]
    if interval_bar(comparison):
        body.append(
            Fitted(
                lambda width: Text(
                    interval_bar(comparison, min(_BAR, width - _BAR_WORDS))
                    or ""
                )
            )
        )
    body += [Text(line) for line in _figures(comparison)]
    details = Table.grid(padding=(0, 2, 0, 0))
    for label, detail in _details(comparison):
        details.add_row(Text(label), Text(detail), style="dim")
    body.append(Padding(details, (0, 0, 0, 2)))
    return Group(head, Padding(Group(*body), (0, 0, 0, len(number_))))


def _waiting(comparison: Comparison, scale: str) -> str:
    if scale == "smoke":
        return "no verdict at smoke scale"
    return f"{comparison.done} of {comparison.seeds} seeds"


def _figures(comparison: Comparison) -> list[str]:
    """Returns what the word rests on."""
    claim, verdict = comparison.claim, comparison.verdict
    if verdict is None:
        return []
    if isinstance(claim, Exact):
        return [verdict.reason]
    lines = []
    if verdict.low is not None:
        unit = claim.smallest_effect
        mean, low, high = (
            rounded(x, unit) for x in (verdict.mean, verdict.low, verdict.high)
        )
        lines.append(
            f"gain {mean} [{low}, {high}], matters from {number(unit)}"
        )
    if verdict.seeds_likely is not None:
        lines.append(
            f"{verdict.seeds_likely:,} seeds would likely decide, "
            f"{verdict.seeds_sure:,} surely"
        )
    elif verdict.word in ("failed", "underpowered"):
        lines.append(verdict.reason)
    return lines


def _details(comparison: Comparison) -> list[tuple[str, str]]:
    claim, verdict = comparison.claim, comparison.verdict
    if isinstance(claim, Exact):
        return []
    details = []
    if comparison.done and comparison.sides:
        means = [f"{side.arm} {number(side.mean)}" for side in comparison.sides]
        details.append(("means", ", ".join(means)))
    if verdict is None:
        return details
    if comparison.improvement is not None:
        share = f"better in {comparison.improvement:.0%} of {verdict.n}"
        spread = ""
        if verdict.sd is not None:
            spread = (
                f", s = {number(verdict.sd)}, detectable "
                f"{number(verdict.minimum_detectable)}"
            )
        details.append(("pairs", share + spread))
    if cost := _cost(comparison):
        details.append(("cost", cost))
    if comparison.new_data is not None:
        low, high = (
            rounded(end, claim.smallest_effect) for end in comparison.new_data
        )
        details.append(("new data", f"[{low}, {high}], from the same source"))
    return details + [("runs", mishap) for mishap in _mishaps(comparison)]


def _cost(comparison: Comparison) -> str:
    ratios = dict(comparison.cost or {})
    if ratios.get("evaluations") == ratios.get("updates"):
        ratios.pop("evaluations", None)
    names = {
        "updates": "updates",
        "evaluations": "gradient evaluations",
        "cpu_seconds": "CPU seconds",
    }
    return ", ".join(
        f"{ratios[key]:.2f} x {name}"
        for key, name in names.items()
        if key in ratios
    )


def _mishaps(comparison: Comparison) -> list[str]:
    lines = []
    for side in comparison.sides:
        n = len(side.values)
        if side.missed:
            lines.append(f"{side.missed} of {n} of {side.arm} never got there")
        if side.collapsed:
            lines.append(
                f"{side.collapsed} of {n} of {side.arm} learned nothing"
            )
    if comparison.done and not any(s.collapsed for s in comparison.sides):
        lines.append(
            f"0 of {comparison.done} collapsed (a rate of up to "
            f"{collapse_bound(comparison.done):.0%})"
        )
    return lines


def _failures(result: Result) -> RenderableType:
    count = len(result.failed)
    cells = "cell" if count == 1 else "cells"
    lines: list[RenderableType] = [Text(f"{count} {cells} failed", "bold red")]
    reasons: dict[str, list[str]] = {}
    for row in result.failed:
        parts = (row["data"], row["arm"], str(row["seed"]))
        place = "/".join(part for part in parts if part)
        reasons.setdefault(row["error"], []).append(place)
    for reason, places in reasons.items():
        lines.append(Text(f"  {', '.join(places)}: {reason}"))
    lines.append(Text("  --retry-failed runs them again"))
    return Group(*lines, "")
