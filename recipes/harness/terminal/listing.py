"""The tables of `regimen list`, `status` and `tune`."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..evidence.catalogue import Entry, Health
from .styles import STYLES, number, rounded

if TYPE_CHECKING:
    from ..tuning import Search


def recipes(entries: Sequence[Entry]) -> RenderableType:
    """Returns the table of `regimen list`."""
    table = _table("recipe", "verdict", "effect", "seeds")
    table.columns[2].justify = table.columns[3].justify = "right"
    topic = None
    for entry in entries:
        if entry.topic != topic:
            topic = entry.topic
            table.add_row(Text(topic, "bold"))
        word = entry.verdict or "not run"
        if entry.stale:
            word += " (stale)"
        table.add_row(
            f"  {entry.name}",
            Text(word, STYLES.get(entry.verdict or "", "dim")),
            "" if entry.effect is None else number(entry.effect),
            "" if entry.seeds is None else str(entry.seeds),
        )
        table.add_row(Padding(Text(entry.claim, "dim"), (0, 0, 0, 2)))
    return table


def markdown(entries: Sequence[Entry]) -> str:
    """Returns the table of the README, from the rows of evidence alone."""
    lines = [
        "| recipe | claim | verdict | effect | seeds | CPU s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for entry in entries:
        for claim in entry.claims:
            effect = ""
            if claim.get("low") is not None:
                unit = claim["smallest_effect"]
                mean, low, high = (
                    rounded(claim[key], unit) for key in ("mean", "low", "high")
                )
                effect = f"{mean} [{low}, {high}]"
            on = f" ({claim['on']})" if claim["on"] else ""
            lines.append(
                f"| {entry.name} | {claim['statement']}{on} | "
                f"{claim['verdict']} | {effect} | {entry.seeds} | "
                f"{number(entry.seconds)} |"
            )
    return "\n".join(lines)


def states(states: Sequence[Health]) -> RenderableType:
    """Returns the table of `regimen status`."""
    names = ("finished", "failed", "stale", "attempts", "looks", "broken")
    table = _table("recipe", *names)
    for column in table.columns[1:]:
        column.justify = "right"
    for state in states:
        counts = [getattr(state, name) for name in names[:-1]]
        counts.append(len(state.problems))
        table.add_row(state.name, *(str(c) if c else "·" for c in counts))
    return table


def search(found: "Search") -> RenderableType:
    """Returns the table of `regimen tune`."""
    table = _table("arm", "best settings", "score", "fresh seeds", "trials")
    for column in table.columns[2:]:
        column.justify = "right"
    for arm, best in found.best.items():
        mine = [e for e in found.executions if e["arm"] == arm]
        settings = ", ".join(
            f"{name}={value:.4g}"
            if isinstance(value, float)
            else f"{name}={value}"
            for name, value in best["hyperparameters"].items()
        )
        found_one = math.isfinite(best["score"])
        nothing = "nothing to search" if found_one else "no trial succeeded"
        table.add_row(
            arm,
            settings or nothing,
            number(best["score"]),
            number(best["rerun"]),
            str(len({e["trial"] for e in mine})),
        )
    parts: list[RenderableType] = [
        Text(f"{found.recipe}: lowest mean {found.objective}"),
        "",
        table,
    ]
    parts += [Text(warning, "yellow") for warning in found.edge_warnings]
    parts.append(Text(f"rows: {found.path}", style="dim", overflow="fold"))
    return Group(*parts)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        table.add_column(column, header_style="dim")
    return table
