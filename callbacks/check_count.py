"""The check of an argument that counts."""

from numbers import Integral
from typing import Any


def check_count(name: str, value: Any, at_least: int = 0) -> None:
    """Raises a `ValueError` unless an argument is a large enough integer."""
    if not isinstance(value, Integral) or value < at_least:
        raise ValueError(
            f"`{name}` must be an integer, {at_least} or more. "
            f"Received: {name}={value}"
        )
