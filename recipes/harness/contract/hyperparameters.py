"""KerasTuner's hyperparameters, refusing what their own ranges exclude."""

import math
from collections.abc import Mapping
from typing import Any

import keras_tuner

from ..refusal import RefusalError


class HyperParameters(keras_tuner.HyperParameters):
    """`keras_tuner.HyperParameters` whose given values are checked.

    KerasTuner returns a value from outside a declared range without a word,
    so a mistyped rate would be reported as if it had been searched.

    Args:
        given: Values by name. They stand for what the search space would
            choose; the rest take their defaults.

    Raises:
        RefusalError: From `Float`, `Int`, `Choice`, `Boolean` and `Fixed`,
            if the value given for them is not one that they declare.

    Example:

    >>> hp = HyperParameters({"rate": 0.3})
    >>> hp.Float("rate", 0.0, 0.5), hp.Int("units", 8, 64, default=32)
    (0.3, 32)
    >>> hp.unused()
    []
    """

    def __init__(self, given: Mapping[str, Any] | None = None):
        super().__init__()
        self.given = dict(given or {})
        self.values = dict(self.given)

    def _retrieve(self, hp: Any) -> Any:
        # KerasTuner's one door: each of its declaring methods ends here.
        value = super()._retrieve(hp)
        if hp.name not in self.given or value is None:
            return value
        return _checked(hp, value)

    def unused(self) -> list[str]:
        """Returns the given names that nothing has asked for."""
        return sorted(set(self.given) - set(self.declared()))

    def declared(self) -> list[str]:
        """Returns the names that were asked for, in their order."""
        return [hp.name for hp in self.space]

    def resolved(self) -> dict[str, Any]:
        """Returns the value of every name, asked for or given."""
        return dict(self.values)

    def free(self) -> list[Any]:
        """Returns what a search may vary: declared, not given, not fixed."""
        return [
            hp
            for hp in self.space
            if hp.name not in self.given and type(hp).__name__ != "Fixed"
        ]


def _checked(hp: Any, value: Any) -> Any:
    kind = type(hp).__name__
    refused = RefusalError(
        f"hyperparameter {hp.name!r} must be {_allowed(hp)}. "
        f"Received: {hp.name}={value!r}"
    )
    if kind == "Boolean":
        if not isinstance(value, bool):
            raise refused
        return value
    if kind == "Choice":
        for choice in hp.values:
            if choice == value and isinstance(value, bool) == isinstance(
                choice, bool
            ):
                return choice
        raise refused
    if kind == "Fixed":
        if value != hp.value:
            raise refused
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise refused
    # A search on a log scale returns its ends with a rounding error.
    slack = 1e-9 * abs(hp.max_value)
    if not hp.min_value - slack <= value <= hp.max_value + slack:
        raise refused
    if kind == "Int":
        if int(value) != value:
            raise refused
        return int(value)
    return float(value)


def _allowed(hp: Any) -> str:
    kind = type(hp).__name__
    if kind == "Boolean":
        return "true or false"
    if kind == "Choice":
        return "one of " + ", ".join(repr(choice) for choice in hp.values)
    if kind == "Fixed":
        return repr(hp.value)
    noun = "a whole number" if kind == "Int" else "a number"
    return f"{noun} from {hp.min_value:g} to {hp.max_value:g}"
