"""The loop over epochs, and the compiled functions that it calls."""

import functools
import math
from types import ModuleType
from typing import Any

import keras
import numpy as np

from ._batches import (
    BatchOrder,
    as_data,
    in_order,
    num_samples,
    split_off_validation,
)
from ._logs import as_floats
from .why_plain_fit import overrides


def compiled_fit(
    model: keras.Model,
    x: Any,
    y: Any,
    batch_size: int | None,
    epochs: int,
    verbose: str | int,
    callbacks: Any,
    validation_split: float,
    validation_data: Any,
    shuffle: bool | np.random.Generator,
    sample_weight: Any,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_batch_size: int | None,
    validation_freq: int | list[int],
    **_: Any,
) -> keras.callbacks.History:
    """What `fit` does, a compiled call per epoch in place of its batches."""
    arrays = (x, y, sample_weight)
    if validation_split and validation_data is None:
        arrays, validation_data = split_off_validation(arrays, validation_split)
    data = as_data(*arrays)
    validation = None
    if validation_data is not None:
        validation = in_order(
            as_data(*keras.utils.unpack_x_y_sample_weight(validation_data)),
            validation_batch_size or batch_size or 32,
        )
    samples = num_samples(data)
    if batch_size is None:
        batch_size = (
            math.ceil(samples / steps_per_epoch) if steps_per_epoch else 32
        )
    order = BatchOrder(samples, batch_size, steps_per_epoch, shuffle)
    engine().prepare(model, data, batch_size)

    if not isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=epochs,
            steps=order.steps,
            model=model,
        )
    watched = any(
        overrides(callback, hook)
        for callback in callbacks.callbacks
        for hook in ("on_test_begin", "on_test_end")
    )
    model.stop_training = False
    callbacks.on_train_begin()
    logs = None
    # Private, but how `BackupAndRestore` says where to go on.
    for epoch in range(model._initial_epoch or initial_epoch, epochs):
        callbacks.on_epoch_begin(epoch)
        due = validation is not None and _is_due(epoch, validation_freq)
        logs, val_logs = compiled(model, "epoch")(
            data,
            order.next_epoch(),
            validation if due and not watched else None,
        )
        logs = dict(logs)
        if due and watched and validation is not None:
            callbacks.on_test_begin()
            val_logs = compiled(model, "validation")(*validation)
            callbacks.on_test_end(as_floats(val_logs))
        if due:
            val_logs = as_floats(val_logs)
            logs |= {f"val_{name}": log for name, log in val_logs.items()}
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    if isinstance(model.optimizer, keras.optimizers.Optimizer) and epochs > 0:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    callbacks.on_train_end(logs)
    return model.history


def _is_due(epoch: int, validation_freq: int | list[int]) -> bool:
    if isinstance(validation_freq, int):
        return (epoch + 1) % validation_freq == 0
    return epoch + 1 in validation_freq


@functools.cache
def engine() -> ModuleType:
    """The module that compiles for the present backend."""
    if keras.config.backend() == "tensorflow":
        from . import _tensorflow as module
    else:
        from . import _jax as module  # type: ignore[no-redef]
    return module


def compiled(model: keras.Model, purpose: str) -> Any:
    """The model's compiled epoch, validation or evaluation."""
    if purpose == "epoch":
        model.make_train_function()
        holder = model.train_function
    else:
        model.make_test_function()
        holder = model.test_function
    # The cache lives on Keras' own compiled function, which `compile()` throws
    # away: so ours goes when Keras' goes, and with the model.
    name = f"keras_regimen_{purpose}"
    if not hasattr(holder, name):
        setattr(holder, name, getattr(engine(), f"make_{purpose}")(model))
    return getattr(holder, name)
