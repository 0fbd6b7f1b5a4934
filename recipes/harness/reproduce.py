"""A row of evidence, computed again and compared to the bit."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .datasets.cache import tfds_directory
from .engine.cell import Cell
from .engine.computation import Computation
from .engine.engine import Engine
from .evidence.code_hash import code_files, code_hash
from .evidence.lookup import find_row
from .refusal import RefusalError

Row = Mapping[str, Any]

# What a row calls data of the user: a label, and what it held.
_OWN_DATA = re.compile("@[0-9a-f]{8}$")

# What a row says of its making, and the word for it.
_CIRCUMSTANCES = {
    "device": "device",
    "threads": "threads",
    "backend": "backend",
    "protocol": "protocol of the harness",
    "fingerprint": "fingerprint of the data",
}


@dataclass(frozen=True)
class Difference:
    """How one series of figures differs between two rows.

    Args:
        series: String, such as `"curves/val_loss"` or `"final/test_error"`.
        figures: How many there are, in the longer row.
        differing: How many of them differ.
        first_epoch: The first epoch that differs, from 1; None for a single
            figure.
        epoch: The epoch of the largest difference, likewise.
        then: The row's figure there; None where it has none.
        now: The new figure there, likewise.
    """

    series: str
    figures: int
    differing: int
    first_epoch: int | None
    epoch: int | None
    then: float | None
    now: float | None

    @property
    def size(self) -> float:
        """The largest absolute difference; infinite if one is no number."""
        return _distance(self.then, self.now)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "size": self.size}


@dataclass(frozen=True)
class Reproduction:
    """The outcome of computing a row again.

    Args:
        row: The row of evidence.
        again: The new row, which is not written anywhere.
        figures: How many figures were compared.
        differences: Those series that differ, the largest difference first;
            none if a row failed, and has no figures.
        changes: Sentences on what else differs: versions, device, code.
    """

    row: Row
    again: Row
    figures: int
    differences: Sequence[Difference]
    changes: Sequence[str]

    @property
    def equal(self) -> bool:
        """Whether both ended alike, with the same figures to the bit."""
        same_end = self.row["status"] == self.again["status"]
        same_error = self.row.get("error") == self.again.get("error")
        return same_end and same_error and not self.differences

    def to_json(self) -> dict[str, Any]:
        cell = ("recipe", "id", "arm", "seed", "scale", "data", "settings")
        return {
            **{name: self.row[name] for name in cell},
            "equal": self.equal,
            "figures": self.figures,
            "status": {"then": self.row["status"], "now": self.again["status"]},
            "differences": [d.to_json() for d in self.differences],
            "changes": list(self.changes),
        }


def reproduce_row(
    name: str,
    out: Path | None = None,
    backend: str | None = None,
    data: str | None = None,
    data_dir: Path | None = None,
) -> Reproduction:
    """Runs the cell of a row again, in a new process of one thread.

    Args:
        name: String. The cell's id, as of `find_row`.
        out: Optional folder that holds the evidence, as of a run.
        backend: Optional string, in place of the row's own.
        data: Where the data of the row lies, if it is the user's own, as of
            a run: a row holds no path.
        data_dir: As of a run.

    Raises:
        RefusalError: If there is no such row, or there are several, the data
            are others, or the backend is not installed.
    """
    file, row = find_row(name, out)
    if data is None and _OWN_DATA.search(row["data"]):
        raise RefusalError(
            f"the row is of your own data, {row['data']}: say where it lies "
            "with --data"
        )
    backend = backend or row["backend"]
    cell = Cell(
        recipe=row["recipe"],
        file=str(file),
        arm=row["arm"],
        seed=row["seed"],
        scale=row["scale"],
        data=row["data"],
        settings=row["settings"],
        code=code_hash(file),
        backend=backend,
        computation=row.get("computation", {}),
    )
    computation = Computation.of(row)
    with Engine(workers=1, backend=backend, computation=computation) as engine:
        if data is not None:
            plan = engine.plan(
                file,
                scale=cell.scale,
                seeds=1,
                data=data,
                data_dir=data_dir or tfds_directory(),
                folder=Path.cwd(),
            )
            if plan.conditions != (cell.data,):
                raise RefusalError(
                    f"the row is of {cell.data or 'no data'}, and {data!r} is "
                    + " and ".join(plan.conditions)
                )
            cell = replace(cell, source=plan.cells[0].source)
        (again,) = engine.run([cell])
    return compare_rows(row, again, list(code_files(file)))


def compare_rows(
    row: Row, again: Row, files: Sequence[str] = ()
) -> Reproduction:
    """Compares curves, final figures and values of two rows, to the bit.

    Args:
        row: A row of evidence.
        again: A row of the same cell.
        files: Names of the files that their code hash stands for.

    Example:

    >>> row = {"status": "done", "values": {"eyes": 3.0}, "code": "1"}
    >>> compare_rows(row, {**row, "values": {"eyes": 3.0}}).equal
    True
    >>> compare_rows(row, {**row, "values": {"eyes": 3.5}}).differences[0].size
    0.5
    """
    ended = row["status"] == again["status"] == "done"
    then, now = (_series(r) if ended else {} for r in (row, again))
    names = [*then, *(name for name in now if name not in then)]
    pairs = {n: (then.get(n, []), now.get(n, [])) for n in names}
    found = [_difference(n, *pair) for n, pair in pairs.items()]
    return Reproduction(
        row=row,
        again=again,
        figures=sum(max(map(len, pair)) for pair in pairs.values()),
        differences=sorted(
            (d for d in found if d is not None), key=lambda d: -d.size
        ),
        changes=tuple(_changes(row, again, files)),
    )


def _series(row: Row) -> dict[str, list[float]]:
    single = {
        f"{kind}/{name}": [figure]
        for kind in ("final", "values")
        for name, figure in row.get(kind, {}).items()
    }
    curves = row.get("curves", {})
    return {f"curves/{name}": c for name, c in curves.items()} | single


def _difference(
    name: str, then: Sequence[float], now: Sequence[float]
) -> Difference | None:
    length = max(len(then), len(now))
    pairs = [
        (
            then[i] if i < len(then) else None,
            now[i] if i < len(now) else None,
        )
        for i in range(length)
    ]
    # The text tells -0.0 from 0.0, and finds one NaN equal to another.
    differing = [i for i, (a, b) in enumerate(pairs) if repr(a) != repr(b)]
    if not differing:
        return None
    largest = max(differing, key=lambda i: _distance(*pairs[i]))
    in_epochs = name.startswith("curves/")
    return Difference(
        series=name,
        figures=length,
        differing=len(differing),
        first_epoch=differing[0] + 1 if in_epochs else None,
        epoch=largest + 1 if in_epochs else None,
        then=pairs[largest][0],
        now=pairs[largest][1],
    )


def _distance(then: float | None, now: float | None) -> float:
    if then is None or now is None:
        return math.inf
    distance = abs(then - now)
    return math.inf if math.isnan(distance) else distance


def _changes(row: Row, again: Row, files: Sequence[str]) -> Iterator[str]:
    if row["code"] != again["code"]:
        yield (
            f"the row is stale: code {row['code']} then, {again['code']} now, "
            f"of {', '.join(files) or 'the recipe'}"
        )
    for kind in ("versions", "hyperparameters"):
        if kind not in row or kind not in again:
            continue  # A cell that failed does not say.
        then, now = row[kind], again[kind]
        for name in dict.fromkeys([*then, *now]):
            if then.get(name) != now.get(name):
                yield _changed(name, then.get(name), now.get(name))
    for key, word in _CIRCUMSTANCES.items():
        if key in row and key in again and row[key] != again[key]:
            yield _changed(word, row[key], again[key])


def _changed(name: str, then: Any, now: Any) -> str:
    told = ["none" if value is None else value for value in (then, now)]
    return f"{name}: {told[0]} then, {told[1]} now"
