"""What is known of every recipe, read from sources and rows alone."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .code_hash import code_hash
from .discovery import shipped
from .evidence import Evidence, Problem, evidence_of
from .source import describe_source

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """One line of `regimen list`; its fields are those of `--json`.

    Args:
        name: String.
        topic: String. The folder.
        claim: String. The headline claim; where the script does not write it
            out and nothing was run, the first line of its docstring.
        verdict: Its word at the cpu scale, or None.
        effect: The mean difference, + in the claimed direction.
        interval: Lower and upper end, or None.
        seeds: Seeds behind the word.
        seconds: CPU seconds that all cells of the verdict took.
        stale: Whether the code has changed since.
        claims: All claims of the verdict, as its row holds them.
    """

    name: str
    topic: str
    claim: str
    verdict: str | None
    effect: float | None
    interval: tuple[float, float] | None
    seeds: int | None
    seconds: float | None
    stale: bool
    claims: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        del fields["stale"], fields["claims"]
        return fields


def entries() -> list[Entry]:
    """Returns an entry for each recipe of the package."""
    return [entry(file) for file in shipped().values()]


def entry(file: Path) -> Entry:
    """Returns the entry of one recipe, from its newest verdict.

    What was judged with settings, arms or data of the user's is passed over.
    """
    described = describe_source(file)
    verdicts = [
        row
        for row in evidence_of(file).read(kind="verdict")[0]
        if row["scale"] == "cpu" and row.get("as_declared", True)
    ]
    code = code_hash(file)
    current = [row for row in verdicts if row["code"] == code]
    newest = next(reversed(current or verdicts), None)
    claim = newest["claims"][0] if newest else {}
    interval = None
    if claim.get("low") is not None:
        interval = (claim["low"], claim["high"])
    return Entry(
        name=described.name,
        topic=described.topic,
        # Where no claim is written out, the last run knows, else the docstring.
        claim=described.claim or claim.get("statement") or described.summary,
        verdict=claim.get("verdict"),
        effect=claim.get("mean"),
        interval=interval,
        seeds=newest["n"] if newest else None,
        seconds=newest["cpu_seconds"] if newest else None,
        stale=bool(newest) and not current,
        claims=tuple(newest["claims"]) if newest else (),
    )


@dataclass(frozen=True)
class Health:
    """One line of `regimen status`: the rows of a recipe, counted.

    Args:
        name: String.
        path: The evidence file.
        finished: Cells that are done with the present code.
        failed: Cells that failed with the present code.
        stale: Cells of code that has changed since.
        attempts: How many combinations of code and settings got a word.
        looks: How many words were given for the newest of them.
        problems: Lines that are no rows.
    """

    name: str
    path: str
    finished: int
    failed: int
    stale: int
    attempts: int
    looks: int
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        return {**fields, "problems": [str(p) for p in self.problems]}


def health(file: Path, out: Path | None = None) -> Health:
    """Returns the state of one recipe's evidence."""
    evidence: Evidence = evidence_of(file, out)
    rows, problems = evidence.read()
    code = code_hash(file)
    latest = {row["id"]: row for row in rows if row["kind"] == "cell"}
    counts = Counter(
        row["status"] if row["code"] == code else "stale"
        for row in latest.values()
    )
    attempts = [row["attempt"] for row in rows if row["kind"] == "verdict"]
    return Health(
        name=file.stem,
        path=str(evidence.path),
        finished=counts["done"],
        failed=counts["failed"],
        stale=counts["stale"],
        attempts=len(set(attempts)),
        looks=attempts.count(attempts[-1]) if attempts else 0,
        problems=tuple(problems),
    )


def stale_recipes() -> list[Path]:
    """Returns the recipes without a verdict of the present code."""
    return [
        file
        for file in shipped().values()
        if (found := entry(file)).stale or found.verdict is None
    ]
