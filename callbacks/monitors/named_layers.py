"""The layers of a model by the names that its user knows."""

from collections.abc import Iterator

import keras


def named_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns the layers of a model by name, nested models taken apart.

    A wrapper or a recurrent layer is one layer, with all that it holds.

    Args:
        model: A Keras model.

    Returns:
        Dictionary of layers in the order of the model. Of two with one name,
        the later has the name of its model before it, and a number if need be.

    Example:

    >>> part = keras.Sequential([keras.layers.Dense(2, name="a")], name="part")
    >>> list(named_layers(keras.Sequential([part, keras.layers.ReLU()])))
    ['a', 're_lu']
    """
    found: dict[str, keras.layers.Layer] = {}
    for layer, parent in _layers(model):
        if any(layer is other for other in found.values()):
            continue
        name = layer.name
        if name in found:
            name = stem = f"{parent.name}/{layer.name}"
            number = 1
            while name in found:
                name, number = f"{stem}_{number}", number + 1
        found[name] = layer
    return found


def _layers(
    model: keras.Model,
) -> Iterator[tuple[keras.layers.Layer, keras.Model]]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer, model
