"""The one unit of work: an arm, trained once with one seed."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from .budget import Budget

# Raised when a change of the harness can alter a recipe's numbers.
PROTOCOL = 1


@dataclass(frozen=True)
class Cell:
    """Everything that a cell's numbers depend on.

    Args:
        recipe: String. The recipe's name.
        file: String. Where its script is. Not part of the identity: a moved
            folder leaves its numbers standing.
        arm: String.
        seed: Integer.
        scale: String. `"smoke"`, `"cpu"`, `"gpu"` or `"full"`.
        data: String. The data condition's name, or what replaced it.
        settings: The hyperparameters that are given, by name.
        code: String. The hash of the code that the recipe depends on.
        backend: String. Keras' backend.
        source: Optional. What draws the rows of a user's own data, picklable.
            Not part of the identity: `data` says what it holds, wherever it
            lies.
        recipe_from: Optional. What makes the recipe where no file declares
            it, picklable. Not part of the identity: `code` stands for it.
        budget: Optional `Budget` of a search.
        lenient: Boolean. Whether settings may stand that nothing asks for,
            as a search's do where one choice decides on others.
        computation: What differs from the default in how it computes, as of
            `Computation.to_json`: strategy, devices, precision, XLA.

    Example:

    >>> from dataclasses import replace
    >>> cell = Cell("dropout", "dropout.py", "plain", 0, "cpu", "clean", {})
    >>> moved = replace(cell, file="elsewhere/dropout.py")
    >>> cell.id == moved.id, cell.id == replace(cell, seed=1).id
    (True, False)
    """

    recipe: str
    file: str
    arm: str
    seed: int
    scale: str
    data: str
    settings: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    backend: str = "tensorflow"
    source: Callable[[int], Any] | None = None
    recipe_from: Callable[[], Any] | None = None
    budget: Budget | None = None
    lenient: bool = False
    computation: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return digest(self._identity())

    @property
    def work(self) -> int:
        """The epochs that a search lets it train; 1 where none are said."""
        if self.budget is None or self.budget.epochs is None:
            return 1
        return self.budget.epochs - self.budget.start_epochs

    def row(self) -> dict[str, Any]:
        """Returns the beginning of the cell's row of evidence."""
        return {"kind": "cell", "id": self.id, **self._identity()}

    def _identity(self) -> dict[str, Any]:
        identity = asdict(
            replace(self, source=None, recipe_from=None, budget=None)
        )
        for name in ("file", "source", "recipe_from", "budget", "lenient"):
            del identity[name]
        if self.budget is not None and (budget := self.budget.identity()):
            identity["allowance"] = budget
        if not self.computation:
            # Rows of plain computations are older than the word.
            del identity["computation"]
        return {**identity, "protocol": PROTOCOL}


def digest(value: Any) -> str:
    """Returns 16 hexadecimal digits that stand for a JSON-like value."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
