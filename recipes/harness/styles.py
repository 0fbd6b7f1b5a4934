"""How words are coloured and numbers are written."""

import math

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
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
