"""The tables of `regimen list`, `status` and `tune`."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..evidence.catalogue import Entry, Health
from .columns import columns
from .console import Fitted
from .search_progress import settings_text
from .styles import STYLES, number, path_line, rounded

if TYPE_CHECKING:
    from ..tuning import Search

_PADDING = 3

# Errors of a search that are told; its rows have them all.
_ERRORS = 3


def recipes(entries: Sequence[Entry]) -> RenderableType:
    """Returns the table of `regimen list`."""
    lines = [
        (
            f"  {entry.name}",
            (entry.verdict or "not run") + (" (stale)" if entry.stale else ""),
            *_figures(entry),
            "" if entry.seeds is None else str(entry.seeds),
        )
        for entry in entries
    ]
    names = ("recipe", "verdict", "effect", "interval", "seeds")
    widths = [
        max(map(cell_len, column)) for column in zip(names, *lines, strict=True)
    ]

    def draw(width: int) -> RenderableType:
        shown = [0, 1, 2, 3, 4]
        for spare in (3, 2):
            space = _PADDING * (len(shown) - 1)
            if sum(widths[place] for place in shown) + space > width:
                shown.remove(spare)

        def line(cells: Sequence[Any], style: str = "") -> Table:
            table = Table.grid(padding=(0, _PADDING, 0, 0))
            for place in shown:
                table.add_column(
                    justify="left" if place < 2 else "right",
                    min_width=widths[place],
                )
            table.add_row(*(cells[place] for place in shown), style=style)
            return table

        parts: list[RenderableType] = [line(names, "dim")]
        topic = None
        for entry, (name, word, *figures) in zip(entries, lines, strict=True):
            if entry.topic != topic:
                topic = entry.topic
                parts.append(Text(topic, "bold"))
            style = STYLES.get(entry.verdict or "", "dim")
            parts.append(line([Text(name), Text(word, style), *figures]))
            parts.append(Padding(Text(entry.claim, "dim"), (0, 0, 0, 4)))
        return Group(*parts)

    return Fitted(draw)


def _figures(entry: Entry) -> tuple[str, str]:
    if entry.effect is None:
        return "", ""
    unit = entry.claims[0]["smallest_effect"] if entry.claims else None
    ends = [rounded(end, unit or 0) for end in entry.interval or ()]
    interval = f"[{', '.join(ends)}]" if ends else ""
    return rounded(entry.effect, unit or 0), interval


def headlines(entries: Sequence[Entry]) -> str:
    """Returns the README's table: each recipe's headline claim and verdict."""
    rows = []
    for entry in entries:
        if entry.claims:
            first, *others = entry.claims
            counts = Counter(claim["verdict"] for claim in others)
            words = [
                f"{counts[word]} {word}" for word in STYLES if counts[word]
            ]
            rows.append(
                [entry.name, *_tested(first), ", ".join(words), entry.seconds]
            )
    return _markdown(
        "recipe | headline | verdict | effect | other claims", rows
    )


def every_claim(entries: Sequence[Entry]) -> str:
    """Returns the table of the results' page: all claims and verdicts."""
    rows = [
        [entry.name, *_tested(claim), str(entry.seeds), entry.seconds]
        for entry in entries
        for claim in entry.claims
    ]
    return _markdown("recipe | claim | verdict | effect | seeds", rows)


def _tested(claim: dict[str, Any]) -> tuple[str, str, str]:
    effect = ""
    if claim.get("low") is not None:
        unit = claim["smallest_effect"]
        mean, low, high = (
            rounded(claim[key], unit) for key in ("mean", "low", "high")
        )
        effect = f"{mean} [{low}, {high}]"
    on = f" ({claim['on']})" if claim["on"] else ""
    return f"{claim['statement']}{on}", claim["verdict"], effect


def _markdown(names: str, rows: Sequence[Sequence[Any]]) -> str:
    lines = [f"| {names} | CPU s |", "| " + "--- | " * (names.count("|") + 2)]
    lines += [
        f"| {' | '.join(cells)} | {number(seconds)} |"
        for *cells, seconds in rows
    ]
    return "\n".join(map(str.rstrip, lines))


def states(states: Sequence[Health]) -> RenderableType:
    """Returns the table of `regimen status`; for one recipe, its file, too."""
    names = ("finished", "failed", "stale", "attempts", "looks", "broken")
    rows = []
    for state in states:
        counts = [getattr(state, name) for name in names[:-1]]
        counts.append(len(state.problems))
        rows.append([state.name, *(str(c) if c else "·" for c in counts)])
    table = columns(("recipe", *names), rows, words=("recipe",))
    if len(states) != 1:
        return table
    return Group(table, path_line("evidence", Path(states[0].path)))


def search(found: "Search") -> RenderableType:
    """Returns the table of `regimen tune`."""
    rows = []
    for arm, best in found.best.items():
        mine = [e for e in found.executions if e["arm"] == arm]
        settings = settings_text(best["hyperparameters"])
        found_one = math.isfinite(best["score"])
        nothing = "nothing to search" if found_one else "no trial succeeded"
        rows.append(
            (
                arm,
                settings or nothing,
                number(best["score"]),
                number(best["rerun"]),
                str(len({e["trial"] for e in mine})),
            )
        )
    extreme = "lowest" if found.direction == "min" else "highest"
    parts: list[RenderableType] = [
        Text(f"{found.recipe}: {extreme} mean {found.objective}"),
        "",
        columns(
            ("arm", "best settings", "score", "fresh seeds", "trials"),
            rows,
            words=("arm", "best settings"),
        ),
    ]
    parts += [Text(warning, "yellow") for warning in found.edge_warnings]
    errors = list(found.failures.items())
    parts += [
        Text(f"{count} run{'s' * (count > 1)} failed: {error}", "red")
        for error, count in errors[:_ERRORS]
    ]
    searched = any(best["hyperparameters"] for best in found.best.values())
    if found.of_recipe and searched:
        tip = "Put the best settings into `tuned=` of each arm, then run."
        parts.append(Text(tip, "dim"))
    parts.append(path_line("rows", found.path))
    return Group(*parts)
