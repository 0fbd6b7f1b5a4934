"""The learning curves of one data condition as the page shows them."""

from collections.abc import Sequence
from typing import Any

from .band import band
from .curves_plot import COLOURS, DASHES, Line, curves_plot
from .dossier import Dossier
from .quantity import MISSING, curve_name, quantity
from .svg import element

_BODIES = ("error", "rmse", "loss")
_PARTS = ("", "val_", "test_")
_ROWS = 8


def curves_view(dossier: Dossier, condition: str) -> dict[str, Any]:
    """Returns panels, legend and table of one condition's curves."""
    by_arm = {
        arm: [r for r in dossier.of(arm, condition) if r.get("curves")]
        for arm in dossier.arms
    }
    recorded = {
        name for rows in by_arm.values() for r in rows for name in r["curves"]
    }
    names = [
        f"{where}{what}"
        for what in _BODIES
        for where in _PARTS
        if f"{where}{what}" in recorded
    ]
    panels, table = [], []
    for name in names:
        lines = [
            Line(
                arm,
                place,
                band([r["curves"].get(name, []) for r in rows]),
                rows[0].get("steps_per_epoch", 1),
            )
            for place, (arm, rows) in enumerate(by_arm.items())
            if rows
        ]
        plot = curves_plot(name, lines)
        if plot is not None:
            panels.append((curve_name(name), plot))
            table.append((curve_name(name), _told_curve(name, lines)))
    most = max((len(rows) for rows in by_arm.values()), default=0)
    return {
        "condition": condition,
        "panels": panels,
        "legend": [_legend(arm, i) for i, arm in enumerate(dossier.arms)],
        "headline": _headline_arms(dossier, condition),
        "table": table,
        "seeds": most,
    }


def _headline_arms(dossier: Dossier, condition: str) -> list[str]:
    for claim in dossier.claims:
        if claim.get("on") in (None, condition):
            return [side["arm"] for side in claim.get("arms") or ()]
    return list(dossier.arms)


def _legend(arm: str, place: int) -> dict[str, Any]:
    swatch = element(
        "svg",
        element(
            "line",
            x1=1,
            x2=31,
            y1=6,
            y2=6,
            class_="middle",
            stroke_dasharray=DASHES[place % len(DASHES)],
        ),
        class_=f"swatch arm-{place % COLOURS}",
        width=32,
        height=12,
        role="img",
        aria_label=f"line of {arm}",
    )
    return {"arm": arm, "swatch": swatch}


def _told_curve(name: str, lines: Sequence[Line]) -> dict[str, Any]:
    """Returns the table of one panel: medians at some epochs."""
    longest = max(lines, key=lambda c: len(c.points) * c.updates_per_epoch)
    count = len(longest.points)
    epochs = sorted(
        {round((i + 1) * count / _ROWS) - 1 for i in range(_ROWS)} - {-1}
    )
    told = quantity(f"final {name}")
    rows = []
    for epoch in epochs:
        updates = (epoch + 1) * longest.updates_per_epoch
        cells = []
        for line in lines:
            at = updates // line.updates_per_epoch - 1
            point = line.points[at] if 0 <= at < len(line.points) else None
            cells.append(
                MISSING
                if point is None
                else f"{told.level(point.middle)} ({told.level(point.low)} to "
                f"{told.level(point.high)})"
            )
        rows.append((f"{updates:,}", cells))
    return {"arms": [line.arm for line in lines], "rows": rows}
