"""Tables that give way where a screen is narrow."""

from collections.abc import Collection, Mapping, Sequence

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from .console import Fitted

_PADDINGS = (3, 2, 1)  # The widest that fits.


def columns(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    words: Collection[str],
    spare: str = "",
) -> Fitted:
    """Returns a table without lines around it.

    Where it is too wide it first loses the spare column, and then space
    between columns; then its words are broken, while figures stand.

    Args:
        names: The columns' names.
        rows: A string for each column.
        words: The names of columns that hold words, and are set flush left;
            others hold figures.
        spare: The name of a column that may be left out; it is also where
            it is empty.
    """
    cells = dict(zip(names, zip(*rows, strict=True), strict=True))
    without = {name: cells[name] for name in names if name != spare}

    def draw(width: int) -> Table:
        chosen, padding = without, _PADDINGS[-1]
        if any(cells.get(spare, ())) and _fits(cells, _PADDINGS[0], width):
            chosen = cells
        for padding in _PADDINGS:
            if _fits(chosen, padding, width):
                break
        return _table(chosen, padding, words)

    return Fitted(draw)


def _table(
    cells: Mapping[str, Sequence[str]], padding: int, words: Collection[str]
) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, padding, 0, 0))
    for name in cells:
        word = name in words
        table.add_column(
            Text(name, "dim"),
            justify="left" if word else "right",
            overflow="fold",
            min_width=None if word else _width(name, cells[name]),
        )
    for row in zip(*cells.values(), strict=True):
        table.add_row(*map(Text, row))
    return table


def _fits(cells: Mapping[str, Sequence[str]], padding: int, width: int) -> bool:
    total = sum(_width(name, column) for name, column in cells.items())
    return total + padding * (len(cells) - 1) <= width


def _width(name: str, column: Sequence[str]) -> int:
    return max(map(cell_len, [name, *column]))
