"""Everything that the rows hold of a model's search, put in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.budget import OBJECTIVE
from ..evidence.discovery import shipped
from ..evidence.evidence import Evidence, Problem
from ..refusal import RefusalError
from .metric_of_label import metric_of_label
from .quantity import Quantity, quantity
from .search_range import range_of
from .searches import FIRST_RERUN_SEED, ArmSearch, searches_of

Row = Mapping[str, Any]

_SUFFIX = ".search.jsonl"
_ARM = "model"


@dataclass(frozen=True)
class SearchDossier:
    """What is known of the search of a model.

    Args:
        path: The file of its rows.
        target: Optional string. What `regimen tune` was told to search; None
            where that was in Python.
        about: What the journal says of the search: its space, tuner and
            budget; empty where it says nothing.
        asked: The journal's rows of its trials, in their order.
        search: The trials.
        objective: String. The label of the figure that it goes by.
        cells: The rows of its runs, re-runs among them.
        others: How many other searches the file holds.
        problems: Lines that are no rows.
    """

    path: Path
    target: str | None
    about: Row
    asked: Sequence[Row]
    search: ArmSearch
    objective: str
    cells: Sequence[Row]
    others: int
    problems: Sequence[Problem]

    @property
    def name(self) -> str:
        """What the rows go by."""
        return self.path.name.removesuffix(_SUFFIX)

    @property
    def page(self) -> str:
        """The name of its page, which no recipe's has."""
        return f"{self.name}.search"

    @property
    def told(self) -> Quantity:
        """How a score is told."""
        own = any(OBJECTIVE in (r.get("values") or {}) for r in self.cells)
        if own and self.objective == "val_loss":
            return Quantity("score", when="as the model's own `fit` returns it")
        return quantity(self.objective)

    @property
    def space(self) -> Sequence[Row]:
        """The configuration of each hyperparameter, where it is known."""
        return self.about.get("space", ())

    @property
    def fixed(self) -> dict[str, Any]:
        """The hyperparameters that were given and not searched."""
        settings = self.cells[0]["settings"]
        searched = {name for row in self.asked for name in row["settings"]}
        return {n: v for n, v in settings.items() if n not in searched}

    @property
    def conditions(self) -> list[str]:
        """The data."""
        return [self.search.data]

    @property
    def failed(self) -> list[Row]:
        """The runs that failed."""
        return [row for row in self.cells if row["status"] == "failed"]


def read_search(
    path: Path,
    target: str | None = None,
    journal: str | None = None,
    objective: str = "val_loss",
    direction: str = "min",
) -> SearchDossier:
    """Reads the newest search in a file of rows.

    Args:
        path: The file, `<name>.search.jsonl`.
        target: Optional string. What `regimen tune` was told to search.
        journal: Optional string. The id of a search, in place of the newest.
        objective: String. The label of the figure that the search went by,
            where its journal does not say.
        direction: `"min"` or `"max"`, likewise.

    Raises:
        RefusalError: If no run of the search has finished.
    """
    rows, problems = Evidence(path).read()
    asks = [row for row in rows if row["kind"] == "trial"]
    ids = list(dict.fromkeys(row["search"] for row in reversed(asks)))
    wanted = journal if journal in ids else next(iter(ids), None)
    asked = [row for row in asks if row["search"] == wanted]
    about: Row = next((row["about"] for row in asked if "about" in row), {})
    cells = _cells_of(asked, rows)
    if not cells:
        raise RefusalError(f"no run of a search has finished in {str(path)!r}")
    objective = about.get("objective", objective)
    configs = {config["name"]: config for config in about.get("space", ())}
    ranges = {name: range_of(config) for name, config in configs.items()}
    (search,) = searches_of(
        cells,
        metric_of_label(objective),
        {name: limits for name, limits in ranges.items() if limits},
        about.get("direction", direction),
        asked,
    )
    return SearchDossier(
        path=path,
        target=target or about.get("called", {}).get("model"),
        about=about,
        asked=asked,
        search=search,
        objective=objective,
        cells=cells,
        others=len(ids) - 1,
        problems=problems,
    )


def model_searches(folder: Path) -> list[Path]:
    """Returns the files of a folder that hold searches of models."""
    return [
        path
        for path in sorted(folder.glob(f"*{_SUFFIX}"))
        if path.name.removesuffix(_SUFFIX) not in shipped()
        and {row["arm"] for row in Evidence(path).read("trial")[0]} == {_ARM}
    ]


def search_file(name: str, folder: Path) -> Path:
    """Returns the file of the rows that go by a name."""
    return folder / f"{name}{_SUFFIX}"


def _cells_of(asked: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    """Returns the latest row of each run that a search asked for.

    Runs on fresh seeds are not in the journal: they are those of a trial's
    settings, on the same data and with the same code.
    """
    latest = {row["id"]: row for row in rows if row["kind"] == "cell"}
    ids = dict.fromkeys(id_ for row in asked for id_ in row["cells"])
    cells = [latest[id_] for id_ in ids if id_ in latest]
    points = {_point(row) for row in cells}
    again = [
        row
        for row in latest.values()
        if row["seed"] >= FIRST_RERUN_SEED and _point(row) in points
    ]
    return cells + again


def _point(row: Row) -> str:
    same = ("arm", "data", "scale", "code", "backend", "protocol")
    return str(
        [
            *(row.get(name) for name in same),
            sorted(row["settings"].items()),
            sorted((row.get("computation") or {}).items()),
            (row.get("allowance") or {}).get("epochs"),
        ]
    )
