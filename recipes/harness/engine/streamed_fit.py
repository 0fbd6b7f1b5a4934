"""`model.fit` on rows that are read when a batch needs them."""

from typing import Any

import keras
import numpy as np

# The order must be that of a compiled epoch, whoever draws it.
from ....custom_models._batches import BatchOrder
from ..contract.streamed_splits import StreamedRows

REASON = "the data is larger than memory and streamed from disk"


def streamed_fit(
    model: keras.Model,
    rows: StreamedRows,
    *,
    batch_size: int,
    shuffle: np.random.Generator | bool,
    steps_per_epoch: int | None = None,
    callbacks: Any = (),
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

    def pieces() -> list[np.ndarray]:
        table = zip(drawn.indices, drawn.sizes, strict=True)
        return [places[:size] for places, size in table if size]

    options.pop("validation_batch_size", None)
    history = model.fit(
        rows.dataset(pieces, order.steps),
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_begin=draw),
            *callbacks,
        ],
        shuffle=False,
        **options,
    )
    history.params = {**(history.params or {}), "plain_fit": REASON}
    return history
