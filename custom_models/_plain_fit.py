"""Plain `model.fit`, with the order of the samples drawn by a generator."""

import inspect
from typing import Any

import keras
import numpy as np
from keras import tree

from ._batches import (
    BatchOrder,
    as_data,
    num_samples,
    split_off_validation,
)
from .why_plain_fit import callback_list


def plain_fit(
    model: keras.Model, arguments: dict[str, Any]
) -> keras.callbacks.History:
    """Calls `model.fit` with what differs from its defaults.

    A model with a `fit` of its own, which may know fewer arguments, gets what
    came. Else a generator for `shuffle` decides the order as in a compiled
    epoch.
    """
    defaults = inspect.signature(keras.Model.fit).parameters
    given = {
        name: value
        for name, value in arguments.items()
        if not _is(value, defaults[name].default)
    }
    if isinstance(arguments["shuffle"], np.random.Generator) and (
        getattr(model.fit, "__func__", None) is keras.Model.fit
    ):
        given = _in_drawn_order(arguments)
    return model.fit(**given)


def _is(value: Any, default: Any) -> bool:
    # Arrays have no truth value to compare by.
    plain = isinstance(value, bool | int | float | str)
    return value is default or (plain and value == default)


def _in_drawn_order(arguments: dict[str, Any]) -> dict[str, Any]:
    """Replaces the arrays by a dataset that hands them out as drawn."""
    given = dict(arguments)
    arrays = tuple(given.pop(name) for name in ("x", "y", "sample_weight"))
    if given["validation_split"] and given["validation_data"] is None:
        arrays, given["validation_data"] = split_off_validation(
            arrays, given["validation_split"]
        )
    given["validation_split"] = 0.0
    given["validation_batch_size"] = (
        given["validation_batch_size"] or given["batch_size"]
    )
    data = as_data(*arrays)
    samples = num_samples(data)
    steps = given.pop("steps_per_epoch")
    batch_size = given.pop("batch_size") or (
        -(-samples // steps) if steps else 32
    )
    order = BatchOrder(samples, batch_size, steps, given.pop("shuffle"))
    dataset = _DrawnBatches(data, order)
    draw = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: dataset.draw()
    )
    given["callbacks"] = [draw, *callback_list(given["callbacks"])]
    return {"x": dataset, "shuffle": False, **given}


class _DrawnBatches(keras.utils.PyDataset):
    """The batches of the epoch that was drawn last."""

    def __init__(self, data: Any, order: BatchOrder) -> None:
        super().__init__()
        self._data = tree.map_structure(
            lambda a: None if a is None else keras.ops.convert_to_numpy(a), data
        )
        self._order = order
        # Keras looks at some batches before the first epoch.
        self._batches = order.undrawn()

    def draw(self) -> None:
        # Not in `on_epoch_begin`: building a model begins an epoch, too.
        self._batches = self._order.next_epoch()

    @property
    def num_batches(self) -> int:
        return self._order.steps

    def __getitem__(self, index: int) -> Any:
        indices, sizes = self._batches
        rows = indices[index, : sizes[index]]
        return tree.map_structure(
            lambda a: None if a is None else a[rows], self._data
        )
