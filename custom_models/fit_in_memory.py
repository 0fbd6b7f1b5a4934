"""`model.fit` on arrays, an epoch per compiled call."""

import warnings
from typing import Any

import keras
import numpy as np

from ._checks import check_arguments
from ._compiled_fit import compiled_fit
from ._plain_fit import plain_fit
from .why_plain_fit import why_plain_fit


def fit_in_memory(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: str | int = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool | str | np.random.Generator = True,
    class_weight: dict | None = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int | list[int] = 1,
) -> keras.callbacks.History:
    """Trains a model on arrays as `model.fit` does, but faster.

    Use it for small models on data that fit in memory, where `fit` spends most
    of its time between the steps: here an epoch, with its validation, is one
    compiled call on TensorFlow and JAX. The steps are Keras' own, whatever
    `train_step` a model has, so with the same order of samples the result is
    that of `fit` to float accuracy. Data are arguments of the compiled call:
    other data of the same shapes, or other weights, are not traced again until
    `model.compile()`.

    Callbacks are called at the begin and end of training, epochs and
    validation, and may change weights, the learning rate and
    `model.stop_training`. Where an argument, a callback that wants to be called
    for each batch, or a model that overrides `fit` needs it (see
    `why_plain_fit`), and on PyTorch, this is `model.fit`, with a warning.

    Args:
        model: A compiled `keras.Model`.
        x: Input array, or a list, tuple or dict of them.
        y: Target array or arrays.
        batch_size: Integer, at least 1. Samples per update. Defaults to 32.
        epochs: Integer. The epoch after which to stop.
        verbose: `"auto"`, 0, 1 or 2. The progress bar moves once an epoch.
        callbacks: List of `keras.callbacks.Callback`s.
        validation_split: Float in `[0, 1)`. The fraction of samples, taken from
            the end before shuffling, to validate on.
        validation_data: Tuple `(x, y)` or `(x, y, sample_weight)` of arrays.
        shuffle: Boolean, or a `numpy.random.Generator` that draws the order of
            each pass over the data. `True` draws from NumPy's global state,
            which `keras.utils.set_random_seed` governs.
        class_weight: As for `fit`, which it needs.
        sample_weight: Array of weights, one per sample (or time step).
        initial_epoch: Integer. The epoch at which to start.
        steps_per_epoch: Integer. Updates per epoch; a pass over the data goes
            on in the next epoch. Where one ends inside an epoch, `fit` cuts the
            epoch short with a warning, and so does this. With a generator as
            `shuffle` the next pass begins at once, so that each epoch has
            exactly that many updates.
        validation_steps: As for `fit`, which it needs.
        validation_batch_size: Integer, at least 1. Defaults to `batch_size`.
        validation_freq: Integer or list of integers. Validate every so many
            epochs, or after those, counted from one.

    Returns:
        A `History`, as from `fit`. Its `params["plain_fit"]` is `None`, or the
        reason why plain `fit` was used.

    Raises:
        ValueError: If the model is not compiled, arrays are empty or differ in
            length, or an argument is out of its range.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, y = keras.ops.ones((8, 2)), keras.ops.ones((8, 1))
    >>> history = fit_in_memory(model, x, y, epochs=3, verbose=0)
    >>> len(history.history["loss"])
    3
    """
    arguments = dict(locals())
    del arguments["model"]
    check_arguments(model, arguments)
    reason = why_plain_fit(model, **arguments)
    if reason is None:
        history = compiled_fit(model, **arguments)
    else:
        warnings.warn(
            f"`fit_in_memory` trains with plain `model.fit`: {reason}.",
            stacklevel=2,
        )
        history = plain_fit(model, arguments)
    history.params = {**(history.params or {}), "plain_fit": reason}
    return history
