"""A data set with its settings, and the checks of these."""

import dataclasses
import inspect
import operator
from collections.abc import Callable
from typing import Any

from ..contract.splits import Splits


@dataclasses.dataclass(frozen=True, repr=False)
class Dataset:
    """A data set with its settings: a picklable function `seed -> Splits`.

    Its name shows the settings that are not the default ones, since it
    stands in evidence rows. Two of the same name and source are equal.

    Args:
        source: The function that users call, such as `digits`.
        draw: Function `(seed, *settings) -> Splits`.
        settings: The values of the arguments of `source`, in their order.

    Call arguments:
        seed: Integer, 0 or more. It alone determines the rows.

    Returns:
        A `Splits`.

    Example:

    >>> from keras_regimen.recipes.harness.datasets import digits
    >>> digits(train_size=500, label_noise=0.3)
    digits(train_size=500, label_noise=0.3)
    """

    source: Callable[..., "Dataset"]
    draw: Callable[..., Splits]
    settings: tuple[Any, ...]

    def __call__(self, seed: int) -> Splits:
        return self.draw(seed, *self.settings)

    @property
    def name(self) -> str:
        """The call that makes this data set, without default settings."""
        declared = inspect.signature(self.source).parameters.values()
        changed = ", ".join(
            f"{parameter.name}={value!r}"
            for parameter, value in zip(declared, self.settings, strict=True)
            if value != parameter.default
        )
        return f"{self.source.__name__}({changed})"

    def __repr__(self) -> str:
        return self.name


def whole_numbers(at_least: int = 1, **values: int) -> tuple[int, ...]:
    """Returns integer settings; refuses fractions and what is too small."""
    for name, value in values.items():
        # `operator.index` takes NumPy's integers and refuses 10.0.
        if not hasattr(value, "__index__") or value < at_least:
            raise ValueError(
                f"`{name}` must be an integer of {at_least} or more. "
                f"Received: {name}={value!r}"
            )
    return tuple(operator.index(value) for value in values.values())


def fraction(**values: float) -> float:
    """Returns a setting between 0 and 1; refuses any other."""
    ((name, value),) = values.items()
    if not 0 <= value <= 1:
        raise ValueError(
            f"`{name}` must be a fraction in [0, 1]. Received: {name}={value!r}"
        )
    return float(value)
