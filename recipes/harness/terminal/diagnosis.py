"""The lines of `regimen doctor`."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..finding import STATES, Finding

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def diagnosis(findings: Sequence[Finding]) -> RenderableType:
    """Returns the lines, what to do below each, and how many are not ok."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.show_header = False
    for _ in range(3):
        table.add_column(overflow="fold")
    for finding in findings:
        state = Text(finding.state, _STYLES[finding.state])
        table.add_row(state, finding.check, Text(finding.what))
        if finding.remedy:
            table.add_row("", "", Text(f"→ {finding.remedy}", "dim"))
    counts = {s: sum(f.state == s for f in findings) for s in STATES[1:]}
    told = [f"{n} {s}{'s' * (n > 1)}" for s, n in counts.items() if n]
    return Group(table, "", Text(", ".join(told) or "all is well"))
