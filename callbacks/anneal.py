"""A noise, a rate or a strength that changes from epoch to epoch."""

import math
from collections.abc import Callable, Iterator, Mapping
from numbers import Real
from typing import Any

import keras
from keras import ops


class Anneal(keras.callbacks.Callback):
    """Sets an attribute of layers or penalties by a schedule of epochs.

    Use it to let noise fade (`AnnealedGaussianNoise.stddev`), to raise a
    dropout rate from 0 (`ScheduledDropout.rate`), or to change the strength of
    a penalty. The value is a function of the epoch's number alone, so that
    interrupted training goes on as if it had not been. Each epoch logs it,
    under the attribute's name.

    A `keras.Variable` is assigned, which costs nothing. A plain number, such as
    the `rate` of Keras' `Dropout` or the `l2` of a regularizer, is compiled
    into the training step, where setting it changes nothing, without a word:
    so the step is compiled again whenever the value changes. Let such a
    schedule change the value a few times, not in each epoch.

    Args:
        target: A layer, a class of layers, a layer's name, a
            `keras.regularizers.Regularizer`, or a list of these. Layers are
            searched for in nested models and wrappers, too.
        attribute: String. The name of the attribute, a scalar variable or a
            number.
        schedule: Function from the epoch's number, from 0, to a float. A Keras
            schedule is one.

    Raises:
        ValueError: If an argument is none of those; when training begins, if
            the model has no such layer, or the attribute of one is no scalar
            variable or number; in training, if the schedule returns NaN, or
            what the layer refuses.

    Example:

    >>> from keras_regimen.custom_layers import ScheduledDropout
    >>> layer = ScheduledDropout(0.0)
    >>> model = keras.Sequential([layer, keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> rise = Anneal(layer, "rate", lambda epoch: min(0.5, 0.25 * epoch))
    >>> history = model.fit(
    ...     ops.ones((4, 2)), ops.ones((4, 1)), epochs=4, verbose=0,
    ...     callbacks=[rise],
    ... )
    >>> history.history["rate"]
    [0.0, 0.25, 0.5, 0.5]
    """

    def __init__(
        self, target: Any, attribute: str, schedule: Callable[[int], Any]
    ):
        super().__init__()
        targets = list(target) if isinstance(target, list | tuple) else [target]
        kinds = (keras.layers.Layer, keras.regularizers.Regularizer, str)
        for one in targets:
            if not isinstance(one, kinds) and not (
                isinstance(one, type) and issubclass(one, keras.layers.Layer)
            ):
                raise ValueError(
                    "`target` must be a layer, a class of layers, a layer's "
                    "name, a regularizer or a list of them. "
                    f"Received: target={target!r}"
                )
        if not isinstance(attribute, str):
            raise ValueError(
                "`attribute` must be an attribute's name. "
                f"Received: attribute={attribute!r}"
            )
        if not callable(schedule):
            raise ValueError(
                "`schedule` must be a function from an epoch to a value. "
                f"Received: schedule={schedule!r}"
            )
        self.targets = targets
        self.attribute = attribute
        self.schedule = schedule
        self._owners: list[Any] = []

    def evaluate(self, epoch: int) -> float:
        """Returns the value for an epoch.

        Args:
            epoch: Integer, from 0.

        Returns:
            Float.
        """
        value = float(ops.convert_to_numpy(self.schedule(epoch)))
        if math.isnan(value):
            raise ValueError(
                "`schedule` must return numbers. Received: NaN for epoch "
                f"{epoch}"
            )
        return value

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        layers = list(layers_of(self.model))
        self._owners = []
        for target in self.targets:
            found = [target]
            if not isinstance(target, keras.regularizers.Regularizer):
                found = [layer for layer in layers if _is(layer, target)]
            if not found:
                names = ", ".join(layer.name for layer in layers)
                raise ValueError(
                    f"The model has no such layer. It has: {names}. "
                    f"Received: target={target!r}"
                )
            self._owners += found
        for owner in self._owners:
            self._check(owner)

    def on_epoch_begin(
        self, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        value = self.evaluate(epoch)
        stale = False
        for owner in self._owners:
            held = getattr(owner, self.attribute)
            settable = isinstance(
                getattr(type(owner), self.attribute, None), property
            )
            if isinstance(held, keras.Variable) and not settable:
                held.assign(value)
                continue
            # A property checks the value, and assigns its variable itself.
            setattr(owner, self.attribute, value)
            if not isinstance(held, keras.Variable):
                stale |= held != value
        if stale:
            self.model.make_train_function(force=True)

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if logs is not None:
            logs[self.attribute] = self.evaluate(epoch)

    def _check(self, owner: Any) -> None:
        found = getattr(owner, self.attribute, None)
        is_variable = isinstance(found, keras.Variable) and found.shape == ()
        if is_variable or (
            isinstance(found, Real) and not isinstance(found, bool)
        ):
            return
        raise ValueError(
            "`attribute` must name a scalar variable or a number of "
            f"{owner!r}. Received: attribute={self.attribute!r}, which is "
            f"{found!r}"
        )


def layers_of(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields all layers of a model, those of nested models and wrappers too.

    Args:
        model: A Keras model.

    Returns:
        Iterator of layers, each once.

    Example:

    >>> inner = keras.Sequential([keras.layers.ReLU(name="relu")])
    >>> model = keras.Sequential([inner, keras.layers.Dense(1, name="dense")])
    >>> [layer.name for layer in layers_of(model) if layer is not inner]
    ['relu', 'dense']
    """
    seen = set()
    # Private, because `layers` misses what wrappers hold.
    for layer in model._flatten_layers(include_self=False):
        if id(layer) not in seen and not isinstance(
            layer, keras.layers.InputLayer
        ):
            seen.add(id(layer))
            yield layer


def _is(layer: keras.layers.Layer, target: Any) -> bool:
    if isinstance(target, str):
        return layer.name == target
    if isinstance(target, type):
        return isinstance(layer, target)
    return layer is target
