"""What a column of targets is: classes, or a real number."""

import dataclasses

import numpy as np

from ..refusal import RefusalError

MOST_INTEGER_CLASSES = 20
ROWS_PER_INTEGER_CLASS = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """Targets as a model learns them.

    Args:
        y: int32 labels of shape `(rows,)`, or float32 of shape `(rows, 1)`.
        classes: The names of the classes; none for a real number.
    """

    y: np.ndarray
    classes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.classes:
            return "a real number"
        return f"{len(self.classes)} classes"


def recognize(values: np.ndarray, name: str, real: bool = False) -> Target:
    """Returns the targets that a column stands for.

    Text is classes. Numbers are classes if there are two of them, or if they
    are whole, 20 at most, and each stands in 5 rows on average; else they are
    real, and so they are wherever a recipe predicts a real number.

    Args:
        values: Array of shape `(rows,)`: strings, or finite numbers.
        name: String. What the column is called.
        real: Boolean. Whether the recipe predicts a real number.

    Raises:
        RefusalError: If there is one value alone, or almost every row has a
            text of its own.

    Example:

    >>> str(recognize(np.array(["no", "yes", "no", "yes"]), "bought"))
    '2 classes'
    >>> str(recognize(np.array([1.5, 2.0, 7.25]), "price"))
    'a real number'
    """
    kinds, labels = np.unique(values, return_inverse=True)
    if len(kinds) < 2:
        only = f" {kinds[0]!s}" if len(kinds) else ""
        raise RefusalError(
            f"the target {name!r} has the same value in every row"
            f"{only and ':'}{only}; there is nothing to learn"
        )
    text = values.dtype.kind not in "buif"
    if text and len(kinds) > max(2, len(values) / 2):
        raise RefusalError(
            f"the target {name!r} has {len(kinds):,} different texts in "
            f"{len(values):,} rows; classes must repeat, and numbers must be "
            "written as numbers"
        )
    if text or (not real and _are_classes(kinds, len(values))):
        names = kinds if text else [f"{kind:g}" for kind in kinds]
        return Target(labels.astype("int32"), tuple(map(str, names)))
    return Target(values.astype("float32").reshape(-1, 1))


def _are_classes(kinds: np.ndarray, rows: int) -> bool:
    few = len(kinds) <= min(MOST_INTEGER_CLASSES, rows / ROWS_PER_INTEGER_CLASS)
    return len(kinds) == 2 or (few and bool(np.all(kinds == np.round(kinds))))
