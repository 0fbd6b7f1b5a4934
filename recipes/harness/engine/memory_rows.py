"""Rows in memory, handed out batch by batch as they are drawn."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from keras import tree

# Floats must be of Keras' float type, as in a compiled epoch.
from ....custom_models._batches import as_data, num_samples


class MemoryRows:
    """Arrays that a strategy trains on with plain `fit`.

    Args:
        x: Input array, or a structure of them.
        y: Target array.
        sample_weight: Optional array of weights, one per sample.

    Example:

    >>> rows = MemoryRows(np.eye(3), np.arange(3))
    >>> batches = rows.dataset(lambda: [np.array([2, 0])], steps=1)
    >>> len(rows), batches[0][1]
    (3, array([2, 0]))
    """

    def __init__(self, x: Any, y: Any, sample_weight: Any = None):
        self._data = tree.map_structure(
            lambda a: None if a is None else keras.ops.convert_to_numpy(a),
            as_data(x, y, sample_weight),
        )

    def __len__(self) -> int:
        return num_samples(self._data)

    def batch(self, places: np.ndarray) -> Any:
        """Returns inputs and targets, and weights if any, of some rows."""
        return tree.map_structure(
            lambda a: None if a is None else a[places], self._data
        )

    def dataset(
        self, pieces: Callable[[], Iterable[np.ndarray]], steps: int
    ) -> keras.utils.PyDataset:
        """Returns the batches that are drawn for it.

        Args:
            pieces: Function that returns the places of each batch. It is
                called whenever the first batch is asked for.
            steps: Integer. How many batches there are.
        """
        return _Drawn(self, pieces, steps)


class _Drawn(keras.utils.PyDataset):
    def __init__(self, rows: MemoryRows, pieces: Callable, steps: int):
        super().__init__()
        self._rows, self._pieces, self._steps = rows, pieces, steps
        self._places: list[np.ndarray] = []

    @property
    def num_batches(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> Any:
        if index == 0 or not self._places:
            self._places = list(self._pieces())
        return self._rows.batch(self._places[index])
