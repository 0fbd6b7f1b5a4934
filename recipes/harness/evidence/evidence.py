"""Evidence: rows of JSON, one a line, appended whole and never rewritten."""

import fcntl
import json
import math
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..refusal import RefusalError
from .discovery import PACKAGE, is_shipped

Row = dict[str, Any]

# What a line must hold to be a row of this file.
_REQUIRED = {
    "cell": {"id", "recipe", "arm", "seed", "scale", "data", "code", "status"},
    "verdict": {"recipe", "scale", "attempt", "look", "n", "claims"},
    # What a search asked for, between the rows that it knew by then.
    "trial": {"recipe", "search", "arm", "trial", "settings", "cells"},
}
_NAMES = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class Problem:
    """A line that is no row: torn, foreign or broken."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.what}"


class Evidence:
    """The rows of one recipe, in a file that only grows.

    A row is written by one `write` that ends in a newline, under a lock, and
    is on the disk before `append` returns. A process that is killed in the
    middle leaves a last line without its newline: that row was not written.
    The next `append` completes such a line if it is a whole row, and cuts it
    off otherwise, which `repaired` then tells.

    Args:
        path: The file, `<recipe>.jsonl`. It need not exist.
        shipped: Optional file of rows that came with the package, read only.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "demo.jsonl")
    >>> row = dict(kind="cell", id="1", recipe="demo", arm="plain", seed=0)
    >>> row |= dict(scale="cpu", data="", code="", status="done", loss=math.nan)
    >>> Evidence(path).append(row)
    >>> rows, problems = Evidence(path).read()
    >>> rows[0]["loss"], problems
    (nan, [])
    """

    def __init__(self, path: Path, shipped: Path | None = None):
        self.path = path
        self.shipped = shipped if shipped != path else None
        self.repaired: str | None = None

    def read(self, kind: str | None = None) -> tuple[list[Row], list[Problem]]:
        """Returns all rows, shipped ones first, and the lines that are none.

        Args:
            kind: Optional string. Only rows of this kind, which is quick:
                other lines are not parsed, and so not checked either.
        """
        start = b"" if kind is None else f'{{"kind":"{kind}"'.encode()
        rows: list[Row] = []
        problems: list[Problem] = []
        for path in (self.shipped, self.path):
            if path is not None and path.is_file():
                for number, line in enumerate(_lines(path), start=1):
                    if not line.startswith(start):
                        continue
                    parsed = _parse(line, self._recipe)
                    if isinstance(parsed, str):
                        problems.append(Problem(path, number, parsed))
                    else:
                        rows.append(parsed)
        return rows, problems

    def rows(self) -> list[Row]:
        """Returns all rows.

        Raises:
            RefusalError: If a line is none. A last line that a crash cut off
                is no error: its cell simply is not finished.
        """
        rows, problems = self.read()
        lasting = [p for p in problems if p.what != _TORN]
        if lasting:
            more = f" (and {len(lasting) - 1} more)" if lasting[1:] else ""
            raise RefusalError(
                f"{lasting[0]}{more}; mend or remove the line, it was not "
                "written by this command"
            )
        return rows

    def append(self, row: Row) -> None:
        """Writes one row, whole or not at all.

        Raises:
            RefusalError: If the folder cannot be written to.
        """
        line = (_encode(row) + "\n").encode()
        file = self._open()
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._mend_tail(file)
            before = os.fstat(file).st_size
            if os.write(file, line) != len(line):
                os.ftruncate(file, before)
                raise OSError(f"the disk is full: {self.path}")
            os.fsync(file)
        finally:
            os.close(file)

    def check_writable(self) -> None:
        """Refuses a place that cannot be written to, before any work.

        Raises:
            RefusalError: If the file cannot be opened for writing.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                os.close(os.open(self.path, os.O_RDWR))
            else:
                tempfile.TemporaryFile(dir=self.path.parent).close()
        except OSError as error:
            raise self._refused(error) from error

    def _open(self) -> int:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
            return os.open(self.path, flags, 0o644)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> RefusalError:
        return RefusalError(
            f"cannot write to {str(self.path)!r}: {error.strerror}"
        )

    @property
    def _recipe(self) -> str:
        return self.path.name.partition(".")[0]

    def _mend_tail(self, file: int) -> None:
        size = os.fstat(file).st_size
        if size == 0 or os.pread(file, 1, size - 1) == b"\n":
            return
        content = os.pread(file, size, 0)
        start = content.rfind(b"\n") + 1
        if isinstance(_parse(content[start:] + b"\n", self._recipe), str):
            os.ftruncate(file, start)
            number = content.count(b"\n") + 1
            self.repaired = (
                f"{self.path}, line {number}: cut off by a crash "
                f"({size - start} bytes) and removed; its cell runs again"
            )
        else:
            os.write(file, b"\n")


def evidence_of(
    file: Path, out: Path | None = None, suffix: str = ""
) -> Evidence:
    """Returns where a recipe's rows are kept.

    Args:
        file: The recipe's script.
        out: Optional folder, which is then used alone.
        suffix: String, `".search"` for the rows of a search.
    """
    name = f"{file.stem}{suffix}.jsonl"
    if out is not None:
        return Evidence(Path(out) / name)
    if not is_shipped(file):
        return Evidence(file.parent / name)
    own = PACKAGE / "evidence" / name
    if (PACKAGE / "pyproject.toml").is_file():
        return Evidence(own)
    return Evidence(Path.cwd() / "regimen-evidence" / name, shipped=own)


_TORN = "torn: the line does not end"


def finite(value: Any) -> Any:
    """Returns JSON-like data with None for NaN and infinity.

    >>> finite({"loss": [0.5, math.nan]})
    {'loss': [0.5, None]}
    """
    return _without_marks(value, (), {})


def _lines(path: Path) -> Iterable[bytes]:
    try:
        return path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise RefusalError(
            f"cannot read {str(path)!r}: {error.strerror}"
        ) from error


def _parse(line: bytes, recipe: str) -> Row | str:
    """Returns the row that a line holds, or what is wrong with it."""
    try:
        row = json.loads(line)
    except ValueError:
        return _TORN if not line.endswith(b"\n") else "not JSON"
    if not isinstance(row, dict) or row.get("kind") not in _REQUIRED:
        return "not a row of evidence"
    missing = _REQUIRED[row["kind"]] - row.keys()
    if missing:
        return f"a {row['kind']} row without {', '.join(sorted(missing))}"
    if row["recipe"] != recipe:
        return f"a row of another recipe, {row['recipe']!r}"
    for place, name in row.pop("not_finite", {}).items():
        *path, last = place.split("/")
        holder: Any = row
        for step in path:
            holder = holder[int(step) if isinstance(holder, list) else step]
        holder[int(last) if isinstance(holder, list) else last] = _NAMES[name]
    return row


def _encode(row: Row) -> str:
    marks: dict[str, str] = {}
    plain = _without_marks(row, (), marks)
    if marks:
        plain["not_finite"] = marks
    return json.dumps(plain, allow_nan=False, separators=(",", ":"))


def _without_marks(value: Any, path: tuple, marks: dict[str, str]) -> Any:
    """Replaces each NaN and infinity by None, noting where it stood."""
    if isinstance(value, dict):
        return {
            k: _without_marks(v, (*path, k), marks) for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            _without_marks(v, (*path, i), marks) for i, v in enumerate(value)
        ]
    if isinstance(value, float) and not math.isfinite(value):
        marks["/".join(str(step) for step in path)] = str(value)
        return None
    return value
