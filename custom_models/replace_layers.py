"""Other layers in a model that is there already, with its weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from ._surgery import Replacing, Surgery, is_graph


def replace_layers(
    model: keras.Model,
    mapping: Mapping[type[keras.layers.Layer] | str, Replacing],
    forget: Sequence[str] = (),
) -> keras.Model:
    """Returns a new model with other layers in the place of some.

    Use it to put a layer of this library into a model that somebody else has
    built, one of `keras.applications` for instance. The model given, which may
    be functional or sequential, is left as it is: the new one has its own
    weights, of the same values. Nested models are searched, layers and models
    that are shared stay shared, and inputs, outputs and call arguments are
    those of the old model (but for `mask` and `training`, where the new layer
    takes none). A layer inside another one, as in
    `TimeDistributed(Conv2D(...))`, belongs to that one, and a nested subclassed
    model counts as one layer: they are copied whole or replaced whole.

    A replacement is made by a function, which gets a copy of the layer, built
    and with its weights, in no model. It may wrap the copy, so that
    `{keras.layers.Conv2D: WeightStandardization}` is a whole mapping; it may
    read the copy's attributes and make another layer; or it may return `None`
    to keep this one. The new layer gets the name of the old, is frozen if the
    old is, and has its dtype policy where it sets none.

    Weights are carried over by name and shape (`gamma` to `gamma`, `kernel` to
    `kernel`). What only the new layer has starts as its initializer says. What
    only the old layer has, or has in another shape, must be named in `forget`,
    so that nothing is lost unseen.

    The new model is not compiled: an optimizer's state would not fit. Dropout
    layers draw new masks.

    Args:
        model: A functional or sequential model, built or not.
        mapping: Dictionary. Each key is a class of layers (subclasses too) or
            the name of a layer; each value a function that takes a copy of
            such a layer and returns a new layer or `None`. The first key that
            fits counts.
        forget: Sequence of strings. The names of weights that replaced layers
            may lose, such as `("moving_mean", "moving_variance")`. Default:
            none.

    Returns:
        A new `keras.Model` of the same class and name, not compiled.

    Raises:
        ValueError: If `model` is subclassed, a functional or sequential model
            with a constructor of its own, or shares a layer that is inside
            another one, as in `TimeDistributed(dense)`; `mapping` is not made
            as said above, or one of its keys fits no layer; a function returns
            anything but a new layer or `None`; or a weight would be lost that
            `forget` does not name.

    Example:

    >>> from keras_regimen.custom_layers import GhostBatchNormalization
    >>> model = keras.Sequential(
    ...     [keras.Input((3,)), keras.layers.BatchNormalization(momentum=0.9)]
    ... )
    >>> def ghost(layer):
    ...     return GhostBatchNormalization(
    ...         virtual_batch_size=16,
    ...         axis=layer.axis,
    ...         momentum=layer.momentum,
    ...         epsilon=layer.epsilon,
    ...     )
    >>> new = replace_layers(model, {keras.layers.BatchNormalization: ghost})
    >>> type(new.layers[0]).__name__, new.layers[0].name == model.layers[0].name
    ('GhostBatchNormalization', True)
    """
    if not is_graph(model):
        raise ValueError(
            "`model` must be a functional or sequential model, whose layers "
            "and their order Keras knows; a subclassed model knows them only "
            f"itself. Received: model={model}"
        )
    if not (
        isinstance(mapping, Mapping)
        and mapping
        and all(_is_key(key) for key in mapping)
        and all(callable(replacing) for replacing in mapping.values())
    ):
        raise ValueError(
            "`mapping` must be a dictionary from classes or names of layers "
            "to functions that take a layer and return a new one or `None`. "
            f"Received: mapping={mapping}"
        )
    if isinstance(forget, str):
        raise ValueError(
            "`forget` must be a sequence of names of weights. "
            f"Received: forget={forget!r}"
        )
    surgery = Surgery(mapping)
    new = surgery.rebuild(model)
    if surgery.unused:
        raise ValueError(
            "Each key of `mapping` must fit a layer of the model; models, "
            "and layers inside other layers, are not replaced. Received: "
            f"mapping with {surgery.unused}, which no layer fits"
        )
    surgery.carry_over(forget)
    return new


def _is_key(key: Any) -> bool:
    return isinstance(key, str) or (
        isinstance(key, type) and issubclass(key, keras.layers.Layer)
    )
