"""The table of arms of one data condition."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..terminal.styles import number
from .dossier import Dossier, mean_and_sd
from .metric_of_label import metric_of_label
from .quantity import MISSING, quantity

Row = Mapping[str, Any]


def arms_view(dossier: Dossier, condition: str) -> dict[str, Any]:
    label = dossier.claims[0]["metric"] if dossier.claims else None
    told = (
        quantity(label, dossier.claims[0].get("smallest_effect"))
        if label
        else None
    )
    rows = []
    for arm in dossier.arms:
        mine = dossier.of(arm, condition)
        done = [row for row in mine if row["status"] == "done"]
        mean, sd = mean_and_sd(_read(label, done))
        settings = _settings(dossier, arm, condition)
        cpu, _ = mean_and_sd([row["cost"]["cpu_seconds"] for row in done])
        rows.append(
            {
                "arm": arm,
                "settings": list(settings.items()),
                "mean": told.level(mean) if told else MISSING,
                "sd": told.level(sd) if told else MISSING,
                "seeds": len(done),
                "failed": len(mine) - len(done),
                "parameters": next(
                    (
                        f"{r['parameters']:,}"
                        for r in done
                        if r.get("parameters")
                    ),
                    MISSING,
                ),
                "cpu": number(cpu),
            }
        )
    return {
        "condition": condition,
        "figure": f"{told.noun} {told.when}".strip() if told else None,
        "rows": rows,
    }


def _read(label: str | None, rows: Sequence[Row]) -> list[float]:
    if label is None:
        return []
    try:
        return [float(metric_of_label(label).read(row)) for row in rows]
    except (LookupError, TypeError):
        return []


def _settings(dossier: Dossier, arm: str, condition: str) -> dict[str, Any]:
    if dossier.verdict is not None and "arms" in dossier.verdict:
        return dict(dossier.verdict["arms"][arm].get(condition) or {})
    rows = dossier.of(arm, condition)
    return dict(rows[-1].get("settings") or {}) if rows else {}
