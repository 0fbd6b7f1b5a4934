"""Everything that a run needs, looked at before it is missed."""

import ast
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .datasets.cache import cache_directory
from .evidence import catalogue
from .evidence.discovery import shipped
from .evidence.evidence import evidence_of
from .evidence.source import parse
from .finding import Finding
from .installation import installation
from .refusal import RefusalError

# A run of a recipe writes megabytes; TensorFlow's own temporary files more.
_LEAST_FREE = 200 * 1024**2
_PLENTY_FREE = 2 * 1024**3


def diagnose(out: Path | None = None) -> list[Finding]:
    """Returns what was found, in the order in which it is worth reading.

    Args:
        out: Optional folder that holds the evidence, as of a run.
    """
    return [*installation(), *_cache(), *_disk(out), *_evidence(out)]


def _cache() -> Iterator[Finding]:
    folder = cache_directory()
    size = _size(folder)
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            yield Finding("cache", "ok", f"{folder}, {_megabytes(size)}")
    except OSError as error:
        yield Finding(
            "cache",
            "problem",
            f"cannot write to {folder}: {error.strerror}",
            "set REGIMEN_CACHE to a folder of your own",
        )


def _disk(out: Path | None) -> Iterator[Finding]:
    places = {
        "cache": cache_directory(),
        "evidence": out or evidence_of(next(iter(shipped().values()))).path,
        "temporary files": Path(tempfile.gettempdir()),
    }
    free = {
        name: shutil.disk_usage(_existing(place)).free
        for name, place in places.items()
    }
    short = [
        f"{_megabytes(left)} for {name}"
        for name, left in free.items()
        if left < _PLENTY_FREE
    ]
    if short:
        least = min(free.values())
        state = "problem" if least < _LEAST_FREE else "warning"
        told = f"free are only {', '.join(short)}"
        yield Finding("disk", state, told, "make room")
    else:
        yield Finding("disk", "ok", f"{_megabytes(min(free.values()))} free")


def _evidence(out: Path | None) -> Iterator[Finding]:
    finished = 0
    found: list[Finding] = []
    for file in shipped().values():
        try:
            health = catalogue.health(file, out)
            finished += health.finished
            found += _health(file, health, out)
        except (RefusalError, OSError) as error:
            found.append(
                Finding(
                    f"evidence of {file.stem}",
                    "problem",
                    str(error),
                    "mend the file",
                )
            )
    if not any(finding.state == "problem" for finding in found):
        told = f"{len(shipped())} recipes, {finished} finished cells"
        yield Finding("evidence", "ok", told)
    yield from found


def _health(
    file: Path, health: catalogue.Health, out: Path | None
) -> Iterator[Finding]:
    check = f"evidence of {file.stem}"
    searched, broken = evidence_of(file, out, suffix=".search").read()
    problems = [str(problem) for problem in (*health.problems, *broken)]
    if problems:
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        yield Finding(
            check,
            "problem",
            problems[0] + more,
            "mend or remove the line; `git checkout` brings back shipped rows",
        )
    if health.stale and not health.finished:
        yield Finding(
            check,
            "warning",
            f"all {health.stale} rows are of code that has changed since",
            f"regimen run {file.stem}",
        )
    elif health.stale:
        yield Finding(
            check, "ok", f"{health.stale} rows are of earlier code, passed over"
        )
    if health.failed:
        yield Finding(
            check,
            "warning",
            f"{health.failed} cells failed",
            f"regimen run {file.stem} --retry-failed",
        )
    if out is None and not searched and _is_tuned(file):
        yield Finding(
            check,
            "warning",
            "its arms have tuned values, and no search has rows",
            f"regimen tune {file.stem}",
        )


def _is_tuned(file: Path) -> bool:
    tree = parse(file.read_bytes(), file)
    return any(
        isinstance(node, ast.keyword) and node.arg in ("tuned", "tuned_on")
        for node in ast.walk(tree)
    )


def _existing(place: Path) -> Path:
    """Returns the place, or the nearest folder above that exists."""
    return next(p for p in (place, *place.absolute().parents) if p.is_dir())


def _size(folder: Path) -> int:
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(Path(place, name)).st_size
            except OSError:
                continue  # It went meanwhile.
    return size


def _megabytes(size: float) -> str:
    if size >= 1024**3:
        return f"{size / 1024**3:.1f} GB"
    return f"{size / 1024**2:.1f} MB"
