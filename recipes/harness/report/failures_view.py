"""Failed runs, those of one reason together."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def failures_view(failed: Sequence[Row]) -> list[dict[str, Any]]:
    """Returns each reason, where it came up, and the first traceback.

    Args:
        failed: Rows of cells that failed.
    """
    reasons: dict[str, list[Row]] = {}
    for row in failed:
        error = row.get("error") or "no reason given"
        reasons.setdefault(error, []).append(row)
    return [
        {
            "error": error,
            "places": [
                " / ".join(
                    part
                    for part in (row["data"], row["arm"], f"seed {row['seed']}")
                    if part
                )
                for row in rows
            ],
            "traceback": rows[0].get("traceback"),
        }
        for error, rows in reasons.items()
    ]
