"""How words are coloured, numbers and paths are written."""

import math
from pathlib import Path

from rich.text import Text

STYLES = {
    "reproduced": "bold green",
    "same direction": "green",
    "no effect": "cyan",
    "opposite": "bold red",
    "underpowered": "yellow",
    "failed": "bold red",
}


def number(value: float | None) -> str:
    """Returns three significant digits, or `-` for what is no number.

    >>> number(0.012345), number(1e-9), number(23456.0), number(None)
    ('0.0123', '1.00e-09', '23,456', '-')
    """
    if value is None or not math.isfinite(value):
        return "-"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2e}"
    # From 999.5 on, three digits would be 1e+03.
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def rounded(value: float | None, unit: float) -> str:
    """Returns a number to a hundredth of a unit, or to three digits.

    >>> rounded(1.5e-9, unit=0.01), rounded(-0.01234, unit=0.01)
    ('0', '-0.0123')
    """
    if value is not None and abs(value) < unit / 200:
        return "0"
    return number(value)


def path_line(name: str, path: Path) -> Text:
    """Returns where something is, from the current folder if it is below."""
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return Text(f"{name}: {path}", style="dim", overflow="fold")
