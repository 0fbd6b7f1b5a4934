"""A dataset that starts with the easy samples and adds the others by epoch."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import tree


class CurriculumDataset(keras.utils.PyDataset):
    """Batches from the easiest share of the samples, which grows by epoch.

    Use it as the `x` of `model.fit` to train by a curriculum: `scores` say how
    difficult each sample is, `pacing` which share of them, the easiest first,
    an epoch draws from. Negated scores make an anti-curriculum, random ones
    the control that tells the order's effect from that of few samples.

    Each epoch draws as many rows as there are samples, whatever its share:
    the easiest `ceil(share * n)` in a fresh random order, and again in another
    one, until there are `n`. So all epochs have the same number of updates
    (Keras asks for that number but once per `fit`), and a share of 1 is plain
    training, a pass over the data per epoch. What an epoch draws is a function
    of `seed` and `epoch` alone: a run that was interrupted goes on as if it
    had not been, with `dataset.epoch = 7` and `fit(..., initial_epoch=7)`.

    An epoch counts when it ends with all of its batches drawn. Give `fit` no
    `steps_per_epoch`, which would cut it into pieces, and `shuffle=False`:
    rows are shuffled here, and `fit` would reorder the batches by Python's
    global random state. Validate on arrays; `evaluate` on this dataset counts
    as an epoch.

    Args:
        x: Input array, or a list, tuple or dictionary of them.
        y: Target array or arrays, or `None`.
        scores: Array of shape `(samples,)`. How difficult each sample is, in
            any unit. Equal scores stand in the order of the data.
        pacing: Function `epoch -> share` of the epoch, counted from 0. The
            share is a float in `(0, 1]`.
        batch_size: Integer, 1 or more and less than the number of samples. The
            last batch of an epoch may be smaller. Defaults to 32.
        sample_weight: Optional array of shape `(samples,)`.
        seed: Optional integer, 0 or more. By default a random one, kept as
            the attribute `seed`.

    Attributes:
        epoch: Integer. The epoch whose batches are drawn, or the next one
            between two. May be assigned.
        rows: Integer array. The indices of the samples that this epoch draws,
            in their order. With `fit_in_memory`, an epoch is
            `fit_in_memory(model, x[rows], y[rows], shuffle=False)`.

    Raises:
        ValueError: If arrays differ in length, `scores` are not one number per
            sample, another argument is outside of its range, or `pacing`
            returns something else than a share (when that epoch begins).

    Example:

    >>> x = np.arange(6.0)[:, None]
    >>> dataset = CurriculumDataset(
    ...     x,
    ...     2 * x,
    ...     scores=[5, 4, 3, 2, 1, 0],
    ...     pacing=lambda epoch: min(1.0, (1 + epoch) / 3),
    ...     batch_size=2,
    ... )
    >>> sorted(set(dataset.rows.tolist()))
    [4, 5]
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(dataset, epochs=2, shuffle=False, verbose=0)
    >>> dataset.epoch, sorted(dataset.rows.tolist())
    (2, [0, 1, 2, 3, 4, 5])

    Reference:

    - Bengio, Louradour, Collobert and Weston, 2009, "Curriculum learning"
      (https://doi.org/10.1145/1553374.1553380). They switch from an easy set
      to the whole at one epoch, which is a `pacing` of two steps. Sampling
      from a growing share of the easiest follows
      [Hacohen and Weinshall, 2019](https://arxiv.org/abs/1904.03626), whose
      pacing is by update and who draw each batch independently.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        scores: Any,
        pacing: Callable[[int], float],
        batch_size: int = 32,
        sample_weight: Any = None,
        seed: int | None = None,
    ):
        super().__init__()
        scores = np.asarray(keras.ops.convert_to_numpy(scores))
        if scores.ndim != 1 or not (
            scores.dtype.kind in "biuf" and np.all(scores == scores)
        ):
            raise ValueError(
                "`scores` must be one number per sample, none of them NaN. "
                f"Received: scores={scores} of shape {scores.shape}"
            )
        self._data = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
        self._data = tree.map_structure(
            lambda a: None if a is None else keras.ops.convert_to_numpy(a),
            self._data if isinstance(self._data, tuple) else (self._data,),
        )
        lengths = {len(a) for a in tree.flatten(self._data) if a is not None}
        if lengths != {len(scores)}:
            raise ValueError(
                "`x`, `y`, `scores` and `sample_weight` must be of the same "
                f"length. Received: {len(scores)} scores and arrays of "
                f"{' and '.join(map(str, sorted(lengths))) or 'no'} samples"
            )
        if not callable(pacing):
            raise ValueError(
                "`pacing` must be a function from an epoch to a share. "
                f"Received: pacing={pacing}"
            )
        # One batch alone would be an epoch that building a model draws whole.
        if not _is_whole(batch_size) or not 1 <= batch_size < len(scores):
            raise ValueError(
                "`batch_size` must be a whole number of at least 1 and less "
                f"than the {len(scores)} samples. "
                f"Received: batch_size={batch_size}"
            )
        if seed is None:
            seed = int(np.random.default_rng().integers(2**31))
        if not _is_whole(seed) or seed < 0:
            raise ValueError(
                "`seed` must be a whole number of at least 0. "
                f"Received: seed={seed}"
            )
        self.pacing = pacing
        self.batch_size = batch_size
        self.seed = seed
        self._by_difficulty = np.argsort(scores, kind="stable")
        self.epoch = 0

    @property
    def epoch(self) -> int:
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if not _is_whole(epoch) or epoch < 0:
            raise ValueError(
                "`epoch` must be a whole number of at least 0. "
                f"Received: epoch={epoch}"
            )
        self._epoch = int(epoch)
        self._order: tuple[int, np.ndarray] | None = None
        self._drawn: set[int] = set()

    @property
    def rows(self) -> np.ndarray:
        if self._order is None or self._order[0] != self.epoch:
            self._order = self.epoch, self._draw()
        return self._order[1]

    @property
    def num_batches(self) -> int:
        return math.ceil(len(self._by_difficulty) / self.batch_size)

    def __getitem__(self, index: int) -> Any:
        start = index * self.batch_size
        # Not `self.rows`: threads of TensorFlow read on after an epoch's end,
        # when the next one may never come.
        order = self.rows if self._order is None else self._order[1]
        rows = order[start : start + self.batch_size]
        self._drawn.add(index)
        return tree.map_structure(
            lambda a: None if a is None else a[rows], self._data
        )

    def on_epoch_begin(self) -> None:
        self._order = self.epoch, self.rows
        self._drawn = set()

    def on_epoch_end(self) -> None:
        # `fit` ends an epoch before the first one, too, and building a model
        # begins one for a single batch.
        if len(self._drawn) == self.num_batches:
            self._epoch += 1
            self._drawn = set()

    def _draw(self) -> np.ndarray:
        share = self.pacing(self.epoch)
        if not 0 < share <= 1:
            raise ValueError(
                "`pacing` must return a share in (0, 1]. "
                f"Received: {share} for epoch {self.epoch}"
            )
        samples = len(self._by_difficulty)
        # Rounded, so that 3 * 0.1 of 10 samples are 3 and not 4.
        easiest = max(1, math.ceil(round(share * samples, 6)))
        rng = np.random.default_rng([self.seed, self.epoch])
        passes = [rng.permutation(easiest) for _ in range(0, samples, easiest)]
        return self._by_difficulty[np.concatenate(passes)[:samples]]


def _is_whole(number: Any) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool)
