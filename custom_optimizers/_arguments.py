"""Arguments of optimizers, refused where they are given."""

import numbers
from typing import Any


def check_number(
    name: str,
    value: Any,
    low: float = 0,
    high: float = float("inf"),
    *,
    open_low: bool = False,
    open_high: bool = True,
) -> float:
    """Returns a number in a range, or raises `ValueError` with both in it."""
    fits = isinstance(value, numbers.Real) and not isinstance(value, bool)
    number = float(value) if fits else float("nan")
    fits = (low < number if open_low else low <= number) and (
        number < high if open_high else number <= high
    )
    if not fits:
        interval = f"{'(' if open_low else '['}{low}, {high}"
        interval += ")" if open_high else "]"
        raise ValueError(
            f"`{name}` must be a number in {interval}. "
            f"Received: {name}={value!r}"
        )
    return number


def check_count(name: str, value: Any, low: int = 1) -> int:
    """Returns an integer of `low` or more, or raises `ValueError`."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < low:
        raise ValueError(
            f"`{name}` must be an integer of {low} or more. "
            f"Received: {name}={value!r}"
        )
    return int(value)


def check_learning_rate(value: Any) -> Any:
    """Returns a learning rate that is no negative number, as it came.

    Keras checks the rest: schedules and callables are welcome, integers not.
    """
    if isinstance(value, float):
        check_number("learning_rate", value)
    return value
