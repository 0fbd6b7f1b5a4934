"""The commands that reproduce a page."""

import shlex

from .dossier import Dossier


def commands(dossier: Dossier) -> list[tuple[str, str]]:
    """Returns what each command does, and the command."""
    name, verdict = dossier.command, dossier.verdict
    options = ""
    if verdict is not None:
        options = f" --seeds {verdict['n']}"
        if verdict["scale"] != "cpu":
            options += f" --scale {verdict['scale']}"
        data = verdict.get("data") or []
        if not verdict.get("as_declared", True) and len(data) == 1 and data[0]:
            options += f" --data {shlex.quote(data[0])}"
    backends = {row["backend"] for row in dossier.cells if row.get("backend")}
    before = ""
    if len(backends) == 1 and backends != {"tensorflow"}:
        before = f"KERAS_BACKEND={backends.pop()} "
    told = [
        (
            "Run it all anew, beside these rows",
            f"{before}regimen run {name}{options} --out regimen-again",
        ),
        (
            "Then write this page of the new rows",
            f"regimen report {name} --out regimen-again --to report-again",
        ),
    ]
    if dossier.searches:
        trials = max(len(s.trials) for s in dossier.searches)
        runs = max(t.runs for s in dossier.searches for t in s.trials)
        told.append(
            (
                "Search the settings anew",
                f"{before}regimen tune {name} --trials {trials} --seeds {runs} "
                "--out regimen-again",
            )
        )
    return told
