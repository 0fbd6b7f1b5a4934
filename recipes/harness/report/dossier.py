"""Everything that the rows of evidence hold of one recipe, put in order."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..evidence.code_hash import code_hash
from ..evidence.discovery import is_shipped
from ..evidence.evidence import Problem, evidence_of
from ..evidence.source import Source, describe_source
from .metric_of_label import metric_of_label
from .searches import ArmSearch, declared_ranges, searches_of

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Dossier:
    """What is known of a recipe.

    Args:
        file: Its script.
        source: What the script says of itself.
        code: The hash of the present code.
        verdict: The verdict row that the page is about, or None.
        verdicts: All verdict rows, the newest last.
        cells: The cells behind the verdict, each once, its latest row; or,
            without a verdict, those of the present code.
        searches: By data condition and arm.
        stale_searches: How many rows of a search are of other code.
        problems: Lines that are no rows.
    """

    file: Path
    source: Source
    code: str
    verdict: Row | None
    verdicts: Sequence[Row]
    cells: Sequence[Row]
    searches: Sequence[ArmSearch]
    stale_searches: int
    problems: Sequence[Problem]

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def title(self) -> str:
        """The docstring's first line up to its colon, or the name."""
        title, colon, _ = self.source.summary.partition(":")
        return title if colon else self.name.replace("_", " ").capitalize()

    @property
    def question(self) -> str:
        """The rest of the docstring's first line."""
        _, colon, rest = self.source.summary.partition(":")
        rest = (rest if colon else self.source.summary).strip()
        return rest[:1].upper() + rest[1:]

    @property
    def command(self) -> str:
        """What `regimen run` is told: a shipped name, or the file."""
        return self.name if is_shipped(self.file) else self.file.name

    @property
    def stale(self) -> bool:
        """Whether the code has changed since the verdict."""
        return self.verdict is not None and self.verdict["code"] != self.code

    @property
    def claims(self) -> Sequence[Row]:
        """The claims of the verdict, the headline first."""
        return self.verdict["claims"] if self.verdict else ()

    @property
    def conditions(self) -> list[str]:
        """The data conditions, in their order."""
        if self.verdict is not None and "data" in self.verdict:
            return list(self.verdict["data"])
        return list(dict.fromkeys(row["data"] for row in self.cells))

    @property
    def arms(self) -> list[str]:
        """The arms, in their order."""
        if self.verdict is not None and "arms" in self.verdict:
            return list(self.verdict["arms"])
        return sorted({row["arm"] for row in self.cells})

    @property
    def failed(self) -> list[Row]:
        """The cells that failed."""
        return [row for row in self.cells if row["status"] == "failed"]

    def of(self, arm: str, condition: str) -> list[Row]:
        """Returns an arm's cells on a condition, in the order of seeds."""
        mine = (
            row
            for row in self.cells
            if row["arm"] == arm and row["data"] == condition
        )
        return sorted(mine, key=lambda row: row["seed"])


def read_dossier(file: Path, out: Path | None = None) -> Dossier:
    """Reads the rows of a recipe, without importing the recipe.

    Args:
        file: The recipe's script.
        out: Optional folder of evidence, read alone.

    Raises:
        RefusalError: If the script is no Python, or rows cannot be read.
    """
    rows, problems = evidence_of(file, out).read()
    found, more_problems = evidence_of(file, out, ".search").read()
    code = code_hash(file)
    verdicts = [row for row in rows if row["kind"] == "verdict"]
    verdict = newest_verdict(verdicts, code)
    known = [row for row in rows if row["kind"] == "cell"]
    cells = _behind(verdict, known) if verdict else _latest(known, code)
    of_code = verdict["code"] if verdict else code
    found = [row for row in found if row["kind"] == "cell"]
    current = [
        row
        for row in found
        if row["code"] == of_code and "computation" not in row
    ]
    ranges = declared_ranges(file) if of_code == code else {}
    return Dossier(
        file=file,
        source=describe_source(file),
        code=code,
        verdict=verdict,
        verdicts=verdicts,
        cells=cells,
        searches=searches_of(
            current, objective(verdict), ranges, _direction(verdict)
        ),
        stale_searches=len(found) - len(current),
        problems=[*problems, *more_problems],
    )


def newest_verdict(verdicts: Sequence[Row], code: str) -> Row | None:
    """Returns the verdict that a page is about.

    The recipe's own at the cpu scale comes before one with settings, arms or
    data of the user's, then one of the present code before others, then the
    newest.
    """

    def rank(place: int) -> tuple[bool, bool, int]:
        row = verdicts[place]
        own = row["scale"] == "cpu" and row.get("as_declared", True)
        return own, row["code"] == code, place

    if not verdicts:
        return None
    return verdicts[max(range(len(verdicts)), key=rank)]


def objective(verdict: Row | None) -> Any:
    """Returns the figure of validation data that a search goes by.

    The first claim's that has one, as the search itself chooses.
    """
    claim = _searched_claim(verdict)
    if claim is None:
        return metric_of_label("final val_loss")
    return metric_of_label(claim["metric"]).objective


def _direction(verdict: Row | None) -> str:
    claim = _searched_claim(verdict)
    return "max" if claim and claim.get("better") == "higher" else "min"


def _searched_claim(verdict: Row | None) -> Row | None:
    claims = verdict["claims"] if verdict else ()
    found = (c for c in claims if metric_of_label(c["metric"]).objective)
    return next(found, None)


def _behind(verdict: Row, cells: Sequence[Row]) -> list[Row]:
    """Returns the cells that a verdict was given on, in its own order."""
    arms = verdict.get("arms") or {}
    wanted: dict[tuple[str, str, int], Row] = {}
    for row in cells:
        settings = arms.get(row["arm"], {}).get(row["data"])
        place = (row["data"], row["arm"], row["seed"])
        if (
            row["code"] == verdict["code"]
            and row["scale"] == verdict["scale"]
            and row["seed"] < verdict["n"]
            and settings is not None
            and settings == row["settings"]
            and row.get("computation") == verdict.get("computation")
        ):
            wanted[place] = row
    return list(wanted.values())


def _latest(cells: Sequence[Row], code: str) -> list[Row]:
    """Returns the newest row of each place, of the present code if any is."""
    cells = [row for row in cells if row["code"] == code] or list(cells)
    scales = [row["scale"] for row in cells]
    scale = "cpu" if "cpu" in scales else next(reversed(scales), "")
    kept = {
        (row["data"], row["arm"], row["seed"]): row
        for row in cells
        if row["scale"] == scale
    }
    return list(kept.values())


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Returns mean and standard deviation; NaN where there is none.

    >>> mean_and_sd([2.0, 4.0, 9.0])[0], mean_and_sd([2.0])
    (5.0, (2.0, nan))
    """
    if not values or not all(map(math.isfinite, values)):
        return math.nan, math.nan
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    spread = math.hypot(*(v - mean for v in values))
    return mean, spread / math.sqrt(len(values) - 1)
