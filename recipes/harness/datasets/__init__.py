"""Data that the package brings: each call returns a function `seed -> Splits`.

Names are handed on when they are first used. No module may bear the name of
something that it holds: an imported submodule becomes an attribute of the
package and would stand in the way.
"""

import importlib
from typing import Any

_HOME = {
    "Dataset": "dataset",
    "adding_problem": "sequences",
    "breast_cancer": "tables",
    "copy_task": "sequences",
    "diabetes": "tables",
    "digits": "images",
    "rosenbrock": "landscapes",
    "rosenbrock_start": "landscapes",
    "two_moons": "planes",
    "two_spirals": "planes",
    "wine": "tables",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f".{_HOME[name]}", __name__)
    return getattr(home, name)


def __dir__() -> list[str]:
    return __all__
