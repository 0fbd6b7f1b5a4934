"""What a recipe is declared with, and what runs it to a verdict.

Names are handed on when they are first used, so that a command that only
reads evidence imports neither Keras nor TensorFlow.
"""

import importlib
from typing import Any

_HOME = {
    "Arm": "contract.recipe",
    "Claim": "contract.claim",
    "Computation": "engine.computation",
    "Data": "contract.splits",
    "Exact": "contract.claim",
    "Recipe": "contract.recipe",
    "RefusalError": "refusal",
    "Result": "verdict.result",
    "Search": "tuning",
    "Splits": "contract.splits",
    "Verdict": "verdict.verdict",
    "adding_problem": "datasets",
    "at_best_epoch": "contract.metrics",
    "breast_cancer": "datasets",
    "copy_task": "datasets",
    "diabetes": "datasets",
    "digits": "datasets",
    "final": "contract.metrics",
    "gap": "contract.metrics",
    "judge": "verdict.verdict",
    "rosenbrock": "datasets",
    "search": "tuning",
    "steps_to": "contract.metrics",
    "two_moons": "datasets",
    "two_spirals": "datasets",
    "value": "contract.metrics",
    "wine": "datasets",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f".{_HOME[name]}", __name__)
    return getattr(home, name)


def __dir__() -> list[str]:
    return __all__
