"""The outcome of a search."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..refusal import RefusalError


@dataclass(frozen=True)
class Search:
    """The outcome of a search.

    Args:
        recipe: String. The name of what was searched.
        objective: String. The label of the validation figure.
        best: For each arm `{hyperparameters, score, rerun}`: the mean over
            the executions of the winning trial, and over fresh seeds.
        executions: One record a run, `{arm, trial, hyperparameters, seed,
            score, status}`, and `epochs` where Hyperband set them. A status
            is `"done"`, `"failed"` or `"ended"`, for being hopeless.
        edge_warnings: Sentences on best values at an end of their range.
        path: The evidence file of the search.
        direction: `"min"` or `"max"`: which way the figure is better.
        of_recipe: Whether a recipe's arms were searched, and not a model.
        journals: The ids of its asks in the file, one an arm.
        failures: How many runs failed, by the first line of their error.
    """

    recipe: str
    objective: str
    best: Mapping[str, dict[str, Any]]
    executions: Sequence[dict[str, Any]]
    edge_warnings: Sequence[str]
    path: Path
    direction: str = "min"
    of_recipe: bool = True
    journals: Sequence[str] = ()
    failures: Mapping[str, int] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether each arm has a trial with a score."""
        return all(math.isfinite(b["score"]) for b in self.best.values())

    @property
    def best_hyperparameters(self) -> Any:
        """The winner's, as `build` takes them; of several arms, the first's."""
        from ..contract.hyperparameters import HyperParameters

        first = next(iter(self.best.values()))
        return HyperParameters(first["hyperparameters"])

    def to_json(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe,
            "best": self.best,
            "executions": self.executions,
            "edge_warnings": self.edge_warnings,
        }

    def to_csv(self) -> str:
        """Returns the executions as a table, one column a hyperparameter."""
        names = list(
            dict.fromkeys(
                n for e in self.executions for n in e["hyperparameters"]
            )
        )
        columns = ["arm", "trial", "seed", *names, "epochs", "score", "status"]
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        for execution in self.executions:
            row = {**execution["hyperparameters"], **execution}
            table.writerow({n: row.get(n, "") for n in columns})
        return text.getvalue()

    def to_html(self) -> str:
        """Returns the page of a model's search, with plots of its trials.

        It is what `regimen report` writes: one file for a browser, which
        needs no other and no network.

        Raises:
            RefusalError: If a recipe was searched, whose page shows more.
        """
        from ..report.search_dossier import read_search
        from ..report.search_page import search_page

        if self.of_recipe:
            raise RefusalError(
                f"the search of {self.recipe} is on the recipe's own page, "
                f"which `regimen report {self.recipe}` writes"
            )
        dossier = read_search(
            self.path,
            journal=next(iter(self.journals), None),
            objective=self.objective,
            direction=self.direction,
        )
        return search_page(dossier, alone=True)

    def __repr__(self) -> str:
        from ..terminal.console import plain
        from ..terminal.listing import search

        return plain(search(self), 80)
