"""One row of evidence, found by its id."""

from pathlib import Path
from typing import Any

from ..refusal import RefusalError
from .discovery import find, shipped
from .evidence import evidence_of

_SHOWN = 3


def find_row(name: str, out: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """Returns the script and the row of a cell that ran, or was searched.

    Args:
        name: String. The id of a cell, or its beginning; `recipe:id` looks
            at one recipe alone, which a user's own, `path/to/file.py:id`,
            has to be.
        out: Optional folder that holds the evidence, as of a run.

    Raises:
        RefusalError: If there is no such row, or there are several.
    """
    recipe, _, start = name.rpartition(":")
    files = [find(recipe)] if recipe else list(shipped().values())
    found = {}
    for file in files:
        for suffix in (".search", ""):
            rows, _ = evidence_of(file, out, suffix).read(kind="cell")
            found.update(
                {r["id"]: (file, r) for r in rows if _begins(r["id"], start)}
            )
    if start in found:
        return found[start]
    if not found:
        place = f"{str(out)!r}" if out else "the evidence"
        of = f" of {files[0].stem}" if recipe else ""
        raise RefusalError(
            f"no row {start!r}{of} in {place}; `regimen run NAME --json` "
            "shows ids, and a file of your own goes before its id: FILE.py:ID"
        )
    if len(found) > 1:
        ids = [f"{file.stem}:{id_}" for id_, (file, _) in found.items()]
        more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
        raise RefusalError(
            f"{start!r} is the beginning of {len(ids)} rows: "
            f"{', '.join(ids[:_SHOWN])}{more}; give more of the id"
        )
    return next(iter(found.values()))


def _begins(id_: str, start: str) -> bool:
    # An empty beginning is a slip, not every row.
    return bool(start) and id_.startswith(start)
