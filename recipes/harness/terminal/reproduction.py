"""What `regimen reproduce` says."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ..reproduce import Reproduction

_SERIES_SHOWN = 8


def reproduction(found: "Reproduction") -> RenderableType:
    """Returns the word on a row that was computed again, and the reasons."""
    row = found.row
    told = [f"arm {row['arm']}", f"seed {row['seed']}", row["scale"]]
    told += [row["data"]] if row["data"] else []
    parts: list[RenderableType] = [
        Text(f"{row['recipe']}:{row['id']} · {', '.join(told)}"),
        _word(found),
    ]
    if found.differences:
        parts += ["", _table(found)]
    if found.changes:
        title = "changed since, too:" if found.equal else "why it may be:"
        parts += ["", Text(title, "dim")]
        parts += [Text(f"  {change}") for change in found.changes]
    elif not found.equal:
        parts += [
            "",
            Text(
                "code, versions, device, threads, backend and data are those "
                "of the row: the recipe may draw numbers without a seed, or "
                "the row be of another kind of processor"
            ),
        ]
    return Group(*parts)


def _word(found: "Reproduction") -> Text:
    then, now = found.row, found.again
    if found.equal and now["status"] == "failed":
        return Text(f"failed again: {now['error']}", "bold yellow")
    if found.equal:
        return Text(f"equal to the bit: {found.figures} figures", "bold green")
    if now["status"] == "failed":
        return Text(f"different: it fails now: {now['error']}", "bold red")
    if then["status"] == "failed":
        return Text(f"different: it failed then: {then['error']}", "bold red")
    differing = sum(d.differing for d in found.differences)
    return Text(
        f"different: {differing} of {found.figures} figures", "bold red"
    )


def _table(found: "Reproduction") -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("figures", header_style="dim")
    for column in ("differ", "from", "largest", "at", "then", "now"):
        table.add_column(column, header_style="dim", justify="right")
    for d in found.differences[:_SERIES_SHOWN]:
        table.add_row(
            d.series,
            f"{d.differing}/{d.figures}",
            _epoch(d.first_epoch),
            f"{d.size:.2e}",
            _epoch(d.epoch),
            _figure(d.then),
            _figure(d.now),
        )
    left = len(found.differences) - _SERIES_SHOWN
    if left > 0:
        table.add_row(Text(f"and {left} more", "dim"))
    return table


def _epoch(epoch: int | None) -> str:
    return "" if epoch is None else f"epoch {epoch}"


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.9g}"
