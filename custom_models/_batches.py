"""Arrays as Keras feeds them, and the order in which an epoch sees them."""

import math
import warnings
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import tree


class Batches(NamedTuple):
    """The samples of each update: row `i` holds its first `sizes[i]` indices.

    Rows are padded to the batch size and tables to the epoch's length, so that
    their shape, which compiled functions depend on, stays what it is.
    """

    indices: np.ndarray
    sizes: np.ndarray


def is_array(leaf: Any) -> bool:
    """Whether a leaf of the data is a dense numeric array of samples."""
    if isinstance(leaf, np.ndarray):
        return leaf.dtype.kind in "biufc" and leaf.ndim > 0
    # TensorFlow counts sparse and ragged tensors as tensors, too. Dense ones
    # alone are arrays for NumPy.
    return (
        keras.ops.is_tensor(leaf)
        and hasattr(leaf, "__array__")
        and keras.backend.standardize_dtype(leaf.dtype) != "string"
        and len(leaf.shape) > 0
    )


def leaves(data: Any) -> list:
    """The arrays in `data`, in order, without the `None` of what is absent."""
    return [leaf for leaf in tree.flatten(data) if leaf is not None]


def as_data(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Packs arrays as `train_step` takes them, floats in Keras' float type."""
    if sample_weight is not None and tree.is_nested(y):
        sample_weight = _weight_per_output(y, sample_weight)
    data = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
    return tree.map_structure(_in_float_type, data)


def num_samples(data: Any) -> int:
    """How many samples the arrays in `data` hold."""
    return int(leaves(data)[0].shape[0])


def split_off_validation(arrays: Any, fraction: float) -> tuple[Any, Any]:
    """Splits the last `fraction` of the samples off, as `fit` does."""
    samples = num_samples(arrays)
    at = math.floor(samples * (1 - fraction))
    if not 0 < at < samples:
        raise ValueError(
            "`validation_split` must leave at least one sample on either side "
            f"of {samples}. Received: validation_split={fraction}"
        )
    first, last = (
        tree.map_structure(lambda a, s=s: None if a is None else a[s], arrays)
        for s in (slice(None, at), slice(at, None))
    )
    return first, last


def in_batches(order: np.ndarray, batch_size: int) -> Batches:
    """Cuts one pass over the samples into batches; the last may be partial."""
    # Rows need not be wider than this for the only batch to be partial.
    batch_size = min(batch_size, len(order) + 1)
    steps = math.ceil(len(order) / batch_size)
    indices = np.zeros((steps, batch_size), "int32")
    indices.flat[: len(order)] = order
    sizes = np.full(steps, batch_size, "int32")
    sizes[-1] = len(order) - (steps - 1) * batch_size
    return Batches(indices, sizes)


def in_order(data: Any, batch_size: int) -> tuple[Any, Batches]:
    """Pairs data with the batches of one pass from first to last."""
    return data, in_batches(np.arange(num_samples(data)), batch_size)


class BatchOrder:
    """Draws the batches of one epoch after another.

    Every pass over the samples is in a new order. With `steps_per_epoch` a pass
    goes on in the next epoch. Where a pass ends inside an epoch, `fit` ends the
    epoch with a warning, and so does this; only with a generator of the
    caller's, for which `fit` knows no rule, the next pass begins at once, so
    that every epoch has as many updates as were asked for.
    """

    def __init__(
        self,
        samples: int,
        batch_size: int,
        steps_per_epoch: int | None,
        shuffle: bool | np.random.Generator,
    ) -> None:
        self._samples = samples
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._endless = isinstance(shuffle, np.random.Generator)
        self._pass = in_batches(np.arange(samples), self._batch_size)
        self._position = len(self._pass.sizes)
        self.steps = steps_per_epoch or self._position

    def next_epoch(self) -> Batches:
        """Draws as far as the epoch needs."""
        parts: list[Batches] = []
        missing = self.steps
        while missing:
            if self._position == len(self._pass.sizes):
                if parts and not self._endless:
                    warnings.warn(
                        "The data ended before `steps_per_epoch` updates, and "
                        "the epoch with it, as in `fit`. A "
                        "`numpy.random.Generator` as `shuffle` starts over at "
                        f"once. Received: steps_per_epoch={self.steps}",
                        stacklevel=4,
                    )
                    break
                self._pass = in_batches(self._draw(), self._batch_size)
                self._position = 0
            part = slice(self._position, self._position + missing)
            parts.append(Batches(*(table[part] for table in self._pass)))
            taken = len(parts[-1].sizes)
            self._position += taken
            missing -= taken
        indices, sizes = map(np.concatenate, zip(*parts, strict=True))
        unused = self.steps - len(sizes)
        return Batches(
            np.pad(indices, ((0, unused), (0, 0))), np.pad(sizes, (0, unused))
        )

    def undrawn(self) -> Batches:
        """Batches like those of an epoch, without drawing any."""
        rows = np.resize(np.arange(len(self._pass.sizes)), self.steps)
        return Batches(*(table[rows] for table in self._pass))

    def _draw(self) -> np.ndarray:
        if not self._shuffle:
            return np.arange(self._samples)
        # `np.random`, the global state, is what `set_random_seed` governs.
        source: Any = self._shuffle if self._endless else np.random
        return source.permutation(self._samples)


def _in_float_type(leaf: Any) -> Any:
    if leaf is None:
        return None
    leaf = keras.ops.convert_to_tensor(leaf)
    dtype = keras.backend.standardize_dtype(leaf.dtype)
    if "float" in dtype and dtype != keras.config.floatx():
        leaf = keras.ops.cast(leaf, keras.config.floatx())
    return leaf


def _weight_per_output(y: Any, sample_weight: Any) -> Any:
    if tree.is_nested(sample_weight):
        tree.assert_same_structure(y, sample_weight)
        return sample_weight
    if len(sample_weight.shape) > 1 and tuple(sample_weight.shape[1:]) != (1,):
        raise ValueError(
            "For several outputs `sample_weight` must hold one number per "
            "sample, or be a structure with one array per output. "
            f"Received: sample_weight of shape {tuple(sample_weight.shape)}"
        )
    return tree.map_structure(lambda _: sample_weight, y)
