"""Which data a cell runs on: the recipe's own, or what the user names."""

from collections.abc import Callable, Mapping
from typing import Any

from .. import datasets
from ..refusal import RefusalError

# The data that the package brings, by the name that `--data` takes.
BUNDLED = (
    "breast_cancer",
    "diabetes",
    "digits",
    "two_moons",
    "two_spirals",
    "wine",
)


def condition(
    declared: Mapping[str, Callable[[int], Any]], name: str
) -> Callable[[int], Any]:
    """Returns the function `seed -> Splits` that a data name stands for.

    Args:
        declared: The recipe's own data, by name.
        name: String. One of these names, or a bundled data set.

    Raises:
        RefusalError: If it is neither.
    """
    if name in declared:
        return declared[name]
    if name in BUNDLED:
        return getattr(datasets, name)()
    own = [known for known in declared if known]
    raise RefusalError(
        f"no data named {name!r}; known are " + ", ".join([*own, *BUNDLED])
    )


def label(source: Callable[[int], Any]) -> str:
    """Returns what a row says of its data, such as `digits()`."""
    defined = getattr(source, "__name__", type(source).__name__)
    return getattr(source, "name", None) or defined
