"""The rows of one seed, and what a recipe may know of them."""

import dataclasses
import functools
import hashlib
from typing import Any, ClassVar

import numpy as np

from .checked_arrays import Pair, checked_inputs, checked_pair
from .conversion import (
    count_classes,
    inputs_as,
    kind_of_target,
    refuse_unknown,
    targets_as,
)

_PARTS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Splits:
    """Training, validation and test rows of one seed.

    What a recipe's `data` function returns. Inputs become float32 and keep
    their scale. Integer and boolean targets are labels and become int32, in
    shape `(rows,)`, or `(rows, time)` for a label at each time step; other
    targets become float32. The arrays are read-only, since several arms look
    at the same ones.

    Args:
        train: Pair `(x, y)` of arrays with as many rows. `x` has the shape
            `(rows, ...)` and rank 2 or more.
        validation: The same, for every choice that is made: when to stop,
            which setting wins.
        test: The same, for the figures that are reported, and nothing else.
        unlabeled: Optional array of further inputs without targets.

    Raises:
        ValueError: If a part is empty, its lengths differ, its shapes or
            kinds differ from the other parts', a number is not finite, or
            labels do not count from 0.

    Example:

    >>> x, y = np.eye(4), np.array([0, 1, 2, 1])
    >>> splits = Splits((x, y), (x, y), (x, y))
    >>> splits
    Splits(4 + 4 + 4 rows of (4,), target='classes', num_classes=3)
    >>> splits.to(takes="vector", target="classes").train[1]
    array([0, 1, 2, 1], dtype=int32)
    """

    # Whether rows are read when they are needed, as of a `StreamedSplits`.
    streamed: ClassVar[bool] = False

    train: Pair
    validation: Pair
    test: Pair
    unlabeled: np.ndarray | None = None

    def __post_init__(self):
        for part in _PARTS:
            pair = checked_pair(part, getattr(self, part))
            object.__setattr__(self, part, pair)
            kinds = [_kinds(pair), _kinds(self.train)]
            if kinds[0] != kinds[1]:
                raise ValueError(
                    f"`{part}` and `train` must hold the same kinds of rows. "
                    f"Received: {kinds[0]} and {kinds[1]}"
                )
        if self.target == "classes" and self.num_classes < 2:
            raise ValueError(
                "Labels must tell two classes or more apart. Received: only 0"
            )
        if self.unlabeled is not None:
            unlabeled = checked_inputs("unlabeled", self.unlabeled)
            object.__setattr__(self, "unlabeled", unlabeled)
            if unlabeled.shape[1:] != self.input_shape:
                raise ValueError(
                    f"`unlabeled` must hold inputs of shape "
                    f"{self.input_shape}. Received: {unlabeled.shape[1:]}"
                )

    def __repr__(self) -> str:
        rows = " + ".join(str(len(x)) for x, _ in self._pairs)
        outputs = f"target={self.target!r}, num_classes={self.num_classes}"
        return f"Splits({rows} rows of {self.input_shape}, {outputs})"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, without the rows."""
        return self.train[0].shape[1:]

    @functools.cached_property
    def target(self) -> str:
        """What `y` looks like: `"classes"`, `"binary"` or `"real"`.

        Integers are classes, and two classes of them serve a recipe of a
        binary target too. One column of 0.0 and 1.0 alone is binary.
        """
        return kind_of_target([y for _, y in self._pairs])

    @functools.cached_property
    def num_classes(self) -> int | None:
        """One more than the greatest label; `None` for a real target."""
        return count_classes([y for _, y in self._pairs])

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """The targets of each part."""
        return dict(zip(_PARTS, (y for _, y in self._pairs), strict=True))

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows of each part."""
        return {name: len(y) for name, y in self.labels.items()}

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every array's dtype, shape and bytes, in hexadecimal."""
        arrays = [array for pair in self._pairs for array in pair]
        if self.unlabeled is not None:
            arrays.append(self.unlabeled)
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def to(self, takes: str | None, target: str | None) -> "Splits":
        """Returns the same rows as a recipe wants them; both None: as is.

        Args:
            takes: `"vector"`, `"image"` or `"sequence"`. Anything flattens
                to a vector; an image of shape `(h, w, c)` becomes a sequence
                of its `h` lines with `w * c` features; nothing becomes an
                image.
            target: `"binary"` (float32 of shape `(rows, 1)`, two classes),
                `"classes"` (int32 labels of shape `(rows,)`, or of shape
                `(rows, time)` where `takes="sequence"`) or `"real"` (float32
                of shape `(rows, columns)`).

        Raises:
            RefusalError: A `ValueError`, if this data cannot serve.
        """
        if takes is None or target is None:
            return self
        refuse_unknown(takes, target)
        train, validation, test = (
            (
                inputs_as(takes, x),
                targets_as(takes, target, y, self.num_classes),
            )
            for x, y in self._pairs
        )
        unlabeled = self.unlabeled
        if unlabeled is not None:
            unlabeled = inputs_as(takes, unlabeled)
        return Splits(train, validation, test, unlabeled)

    @property
    def _pairs(self) -> tuple[Pair, Pair, Pair]:
        return self.train, self.validation, self.test


class Data:
    """What `build(hp, data)` may know of the data: all but the test rows.

    A model that was built without a look at the arrays can serve other seeds
    too, so the object remembers whether there was one.

    Args:
        splits: The `Splits` (or `StreamedSplits`) of the cell, converted to
            what the recipe takes.

    Attributes:
        arrays_read: Boolean. Whether an array was asked for so far.

    Example:

    >>> x, y = np.eye(4), np.array([0, 1, 2, 1])
    >>> data = Data(Splits((x, y), (x, y), (x, y)))
    >>> data.input_shape, data.num_classes, data.arrays_read
    ((4,), 3, False)
    >>> x, y = data.train
    >>> data.arrays_read
    True
    """

    def __init__(self, splits: Any):
        self.arrays_read = False
        self._splits = splits

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, without the rows."""
        return self._splits.input_shape

    @property
    def num_classes(self) -> int | None:
        """The number of classes; `None` for a real target."""
        return self._splits.num_classes

    @property
    def train(self) -> Pair:
        """The training rows, a pair `(x, y)`."""
        return self._read("train")

    @property
    def validation(self) -> Pair:
        """The validation rows, a pair `(x, y)`."""
        return self._read("validation")

    @property
    def unlabeled(self) -> np.ndarray | None:
        """Further inputs without targets, if the data has some."""
        return self._read("unlabeled")

    @property
    def test(self) -> Pair:
        """Refused: nothing may be chosen by the test rows."""
        raise AttributeError(
            "A model is built without the test rows, since nothing may be "
            "chosen by them. Look at `train` or `validation`."
        )

    def _read(self, part: str) -> Any:
        self.arrays_read = True
        return getattr(self._splits, part)


def _kinds(pair: Pair) -> str:
    return ", ".join(
        f"{name} {array.dtype} {array.shape[1:]}"
        for name, array in zip("xy", pair, strict=True)
    )
