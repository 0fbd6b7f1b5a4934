"""Training on the validation data too, once they have done their work."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import tree

from ...custom_models import evaluate_in_memory
from ..check_count import check_count
from .early_stopping import EarlyStopping
from .stopping_callback import StoppingCallback


class Refit(NamedTuple):
    """What `refit_on_all_data` found.

    Args:
        model: The `keras.Model` that has seen all data.
        epochs: Integer, how many epochs early stopping found to be best.
        extra_epochs: Integer, how many the second training took.
        target: Float, the training loss at the best epoch, which `"continue"`
            aims at; `None` for `"retrain"`.
        reached: Boolean, whether it got there; `True` for `"retrain"`.
        history: Dictionary of lists, the second training's `history`.

    Example:

    >>> found = Refit(None, 7, 7, None, True, {"loss": [0.5]})
    >>> found.epochs, found.reached
    (7, True)
    """

    model: keras.Model
    epochs: int
    extra_epochs: int
    target: float | None
    reached: bool
    history: dict


def refit_on_all_data(
    build: Callable[[], keras.Model],
    x: Any,
    y: Any,
    validation_data: tuple,
    strategy: str = "retrain",
    stopper: StoppingCallback | None = None,
    epochs: int = 1000,
    extra_epochs: int = 100,
    batch_size: int = 32,
    fit: Callable = keras.Model.fit,
    verbose: int = 0,
) -> Refit:
    """Stops early on validation data, then trains on these as well.

    Use it at the end of a project, where every sample counts and the time of
    stopping is known. `"retrain"` starts anew and trains on all data for as
    many epochs as were best; it repeats what is known to work, at twice the
    cost. `"continue"` goes on from the best epoch, on all data, until the loss
    on what was validation data is as low as the training loss was at that
    epoch; it costs less, but the loss may never get there, and then training
    ends after `extra_epochs`, with a warning and `reached=False`.

    Args:
        build: Function without arguments that returns a compiled model. For
            `"retrain"` it is called twice, and decides whether the second
            model starts from the same weights.
        x: Array, or a structure of arrays, of training inputs.
        y: Array, or a structure of arrays, of their targets.
        validation_data: Pair `(x, y)` of arrays of the same structure.
        strategy: `"retrain"` or `"continue"`.
        stopper: `EarlyStopping` or `PrecheltStopping`, which must restore the
            best epoch. Defaults to
            `EarlyStopping(patience=10, restore="training_state")`, so that
            `"continue"` goes on with the optimizer as it was.
        epochs: Positive integer. The most epochs before stopping.
        extra_epochs: Positive integer. The most epochs of `"continue"` on all
            data.
        batch_size: Positive integer.
        fit: `keras.Model.fit`, or `fit_in_memory`, which is faster for small
            models.
        verbose: As for `fit`.

    Returns:
        A `Refit`, with the model, both numbers of epochs, and whether the
        target was reached.

    Raises:
        ValueError: If an argument is none of those.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(40, 2))
    >>> y = x.sum(axis=1)
    >>> def build():
    ...     model = keras.Sequential([keras.layers.Dense(1)])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> train, validation = (x[:30], y[:30]), (x[30:], y[30:])
    >>> found = refit_on_all_data(build, *train, validation, epochs=9)
    >>> found.reached, found.epochs == found.extra_epochs
    (True, True)

    Reference:

    - Goodfellow, Bengio and Courville, Deep Learning, 2016, algorithms 7.2
      and 7.3. They train for as many updates, we for as many epochs, which is
      more updates by the share of the validation data; and they continue
      without an end, where the target is never reached.
    """
    if strategy not in ("retrain", "continue"):
        raise ValueError(
            '`strategy` must be "retrain" or "continue". '
            f"Received: strategy={strategy!r}"
        )
    if stopper is None:
        stopper = EarlyStopping(patience=10, restore="training_state")
    if not isinstance(stopper, StoppingCallback) or not stopper.restore:
        raise ValueError(
            "`stopper` must be an `EarlyStopping` or `PrecheltStopping` of "
            "this library that restores the best epoch: pass `restore=`. "
            f"Received: stopper={stopper!r}"
        )
    for name, value in (
        ("epochs", epochs),
        ("extra_epochs", extra_epochs),
        ("batch_size", batch_size),
    ):
        check_count(name, value, at_least=1)
    if not isinstance(validation_data, list | tuple) or (
        len(validation_data) != 2
    ):
        raise ValueError(
            "`validation_data` must be a pair `(x, y)` of arrays. "
            f"Received: a {type(validation_data).__name__}"
        )
    everything = [
        tree.map_structure(
            lambda *parts: np.concatenate([np.asarray(p) for p in parts]),
            *pair,
        )
        for pair in zip((x, y), validation_data, strict=True)
    ]

    model = build()
    fit(
        model,
        x,
        y,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=tuple(validation_data),
        callbacks=[stopper],
        verbose=verbose,
    )
    best = stopper.best_epoch + 1
    if strategy == "retrain":
        model = build()
        again = fit(
            model,
            *everything,
            batch_size=batch_size,
            epochs=best,
            verbose=verbose,
        )
        return Refit(model, best, best, None, True, again.history)

    target = _loss(model, x, y, batch_size)
    aim = _Aim(target, validation_data, batch_size)
    history: dict = {}
    if not aim.reached_by(model):
        model.stop_training = False
        history = fit(
            model,
            *everything,
            batch_size=batch_size,
            epochs=extra_epochs,
            callbacks=[aim],
            verbose=verbose,
        ).history
    if not aim.reached:
        warnings.warn(
            f"The loss on the validation data did not reach {target:.6g}, the "
            f"training loss at the best epoch, in {extra_epochs} more epochs; "
            f"it is {aim.loss:.6g}.",
            stacklevel=2,
        )
    taken = len(history.get("loss", ()))
    return Refit(model, best, taken, target, aim.reached, history)


class _Aim(keras.callbacks.Callback):
    """Stops once the loss on some data is low enough."""

    def __init__(self, target, data, batch_size):
        super().__init__()
        self.target = target
        self.data = data
        self.batch_size = batch_size
        self.loss = np.nan
        self.reached = False

    def reached_by(self, model):
        self.loss = _loss(model, *self.data, self.batch_size)
        self.reached = bool(self.loss <= self.target)
        return self.reached

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            self.model.stop_training = self.reached_by(self.model)
            logs["aimed_loss"] = self.loss


def _loss(model, x, y, batch_size):
    return evaluate_in_memory(model, x, y, batch_size=batch_size)["loss"]
