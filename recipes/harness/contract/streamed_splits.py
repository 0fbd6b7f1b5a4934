"""The rows of one seed where they do not fit into memory."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..refusal import RefusalError
from .conversion import (
    count_classes,
    inputs_as,
    kind_of_target,
    refuse_unknown,
    targets_as,
)

# Enough to see what one row looks like.
_FIRST = np.zeros(1, "int64")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class StreamedRows:
    """Rows whose inputs are read from disk when a batch needs them.

    Args:
        x: The inputs of all parts, mapped from a file.
        y: The targets of these rows alone, in memory.
        rows: Integer array. Where these rows stand in `x`.
        takes: Optional string. What a recipe takes; the inputs as they are by
            default.
    """

    x: np.ndarray
    y: np.ndarray
    rows: np.ndarray
    takes: str | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Any]:
        raise RefusalError(
            "The recipe asks for whole arrays, and this data is larger than "
            "what a process may fill with data, so it is streamed. Set "
            "REGIMEN_MEMORY_MB if there is more memory."
        )

    def batch(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns inputs and targets of some of these rows."""
        # Sorted, a disk is read forwards.
        order = np.argsort(places, kind="stable")
        x = np.empty((len(places), *self.x.shape[1:]), self.x.dtype)
        x[order] = self.x[self.rows[places[order]]]
        inputs = as_inputs(x)
        if self.takes is not None:
            inputs = inputs_as(self.takes, inputs)
        return inputs, self.y[places]

    def batches(self, size: int) -> Any:
        """Returns a `tf.data.Dataset` of all rows in their order."""
        cuts = range(size, len(self), size)
        pieces = np.split(np.arange(len(self)), cuts)
        return self.dataset(lambda: pieces, len(pieces))

    def dataset(
        self, pieces: Callable[[], Iterable[np.ndarray]], steps: int
    ) -> Any:
        """Returns a `tf.data.Dataset` of the batches that are drawn for it.

        Args:
            pieces: Function that returns the places of each batch. It is
                called whenever the dataset is iterated over.
            steps: Integer. How many batches there are.
        """
        from ..datasets.reading_tensorflow import reading_tensorflow

        tf = reading_tensorflow()
        x, y = self.batch(_FIRST)
        dataset = tf.data.Dataset.from_generator(
            lambda: map(self.batch, pieces()),
            output_signature=(
                tf.TensorSpec((None, *x.shape[1:]), x.dtype),
                tf.TensorSpec((None, *y.shape[1:]), y.dtype),
            ),
        )
        counted = tf.data.experimental.assert_cardinality(steps)
        return dataset.apply(counted).prefetch(2)


class StreamedSplits:
    """Training, validation and test rows of one seed, read batch by batch.

    What stands for a `Splits` where data is larger than memory: it says the
    same of the rows, and hands them out as `tf.data.Dataset`s. Training uses
    plain `fit`, in the same order of rows.

    Args:
        train: `StreamedRows`.
        validation: `StreamedRows`.
        test: `StreamedRows`.
        digest: String. What stands for the inputs in the fingerprint.

    Example:

    >>> x, y = np.eye(4, dtype="float32"), np.array([0, 1, 2, 1], "int32")
    >>> rows = StreamedRows(x, y, np.arange(4))
    >>> splits = StreamedSplits(rows, rows, rows, digest="eye")
    >>> splits
    StreamedSplits(4 + 4 + 4 rows of (4,), target='classes', num_classes=3)
    >>> splits.to(takes="vector", target="classes").counts["train"]
    4
    """

    streamed = True
    unlabeled = None

    def __init__(
        self,
        train: StreamedRows,
        validation: StreamedRows,
        test: StreamedRows,
        digest: str,
    ):
        self.train, self.validation, self.test = train, validation, test
        self._digest = digest

    def __repr__(self) -> str:
        rows = " + ".join(str(count) for count in self.counts.values())
        outputs = f"target={self.target!r}, num_classes={self.num_classes}"
        return f"StreamedSplits({rows} rows of {self.input_shape}, {outputs})"

    @functools.cached_property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, without the rows."""
        return self.train.batch(_FIRST)[0].shape[1:]

    @functools.cached_property
    def target(self) -> str:
        """What `y` looks like: `"classes"`, `"binary"` or `"real"`."""
        return kind_of_target(list(self.labels.values()))

    @functools.cached_property
    def num_classes(self) -> int | None:
        """One more than the greatest label; `None` for a real target."""
        return count_classes(list(self.labels.values()))

    @property
    def labels(self) -> dict[str, np.ndarray]:
        """The targets of each part."""
        return {name: rows.y for name, rows in self._parts.items()}

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows of each part."""
        return {name: len(rows) for name, rows in self._parts.items()}

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the data's digest and of which rows are in which part.

        The inputs themselves are not read through: their digest says as much.
        """
        digest = hashlib.sha256(f"{self._digest}{self.input_shape}".encode())
        for rows in self._parts.values():
            for array in (rows.rows, rows.y):
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def to(self, takes: str | None, target: str | None) -> "StreamedSplits":
        """Returns the same rows as a recipe wants them; both None: as is.

        Args:
            takes: `"vector"`, `"image"` or `"sequence"`, as of `Splits.to`.
            target: `"binary"`, `"classes"` or `"real"`, as of `Splits.to`.

        Raises:
            RefusalError: A `ValueError`, if this data cannot serve.
        """
        if takes is None or target is None:
            return self
        refuse_unknown(takes, target)
        inputs_as(takes, self.train.batch(_FIRST)[0])
        train, validation, test = (
            dataclasses.replace(
                rows,
                y=targets_as(takes, target, rows.y, self.num_classes),
                takes=takes,
            )
            for rows in self._parts.values()
        )
        return StreamedSplits(train, validation, test, self._digest)

    @property
    def _parts(self) -> dict[str, StreamedRows]:
        return {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
        }


def as_inputs(x: np.ndarray) -> np.ndarray:
    """Returns float32 inputs; bytes become numbers between 0 and 1."""
    if x.dtype == np.uint8:
        return x.astype("float32") / np.float32(255)
    return x.astype("float32", copy=False)
