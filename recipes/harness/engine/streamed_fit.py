"""`model.fit` on rows that are read when a batch needs them."""

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

# The order must be that of a compiled epoch, whoever draws it.
from ....custom_models._batches import BatchOrder
from ..contract.streamed_splits import StreamedRows
from .memory_rows import MemoryRows

REASON = "the data is larger than memory and streamed from disk"


def streamed_fit(
    model: keras.Model,
    rows: StreamedRows | MemoryRows,
    *,
    batch_size: int,
    shuffle: np.random.Generator | bool,
    steps_per_epoch: int | None = None,
    callbacks: Any = (),
    devices: int = 1,
    reason: str = REASON,
    **options: Any,
) -> keras.callbacks.History:
    """Trains with plain `fit`, in the order of rows of `fit_in_memory`.

    Args:
        model: A compiled `keras.Model`.
        rows: The training rows.
        batch_size: Integer, 1 or more.
        shuffle: Generator that draws the order of each pass over the rows, or
            a boolean.
        steps_per_epoch: Optional integer. Updates of an epoch, whose passes
            over the rows go on in the next one.
        callbacks: List of callbacks.
        devices: Integer. Replicas among which each batch is shared out. What
            does not divide is computed whole on each of them.
        reason: String. Why `fit` is used.
        **options: More arguments of `keras.Model.fit`.

    Returns:
        A `History`, whose `params["plain_fit"]` says why `fit` was used.
    """
    order = BatchOrder(len(rows), batch_size, steps_per_epoch, shuffle)
    # Keras looks at some batches before the first epoch.
    drawn = order.undrawn()

    def draw(epoch: int, logs: Any) -> None:
        nonlocal drawn
        drawn = order.next_epoch()

    def pieces() -> Iterator[np.ndarray]:
        for places, size in zip(drawn.indices, drawn.sizes, strict=True):
            if size:
                yield whole_on_each(places[:size], devices)

    if not isinstance(options.get("validation_data"), tuple):
        options.pop("validation_batch_size", None)  # It comes in batches.
    history = model.fit(
        rows.dataset(pieces, order.steps),
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_begin=draw),
            *callbacks,
        ],
        shuffle=False,
        **options,
    )
    history.params = {**(history.params or {}), "plain_fit": reason}
    return history


def whole_on_each(places: np.ndarray, devices: int) -> np.ndarray:
    """Returns the rows of a batch so often that they divide by the devices.

    A mean over the batch stays what it is. With fewer rows on one replica
    than on another, each mean would count the same, and be another mean.

    >>> whole_on_each(np.array([4, 5, 6]), devices=2)
    array([4, 5, 6, 4, 5, 6])
    """
    return np.tile(places, devices // math.gcd(len(places), devices))
