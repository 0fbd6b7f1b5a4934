"""What layers give out while a model runs, whatever kind of model it is."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
from keras import tree


@contextlib.contextmanager
def layer_outputs(
    layers: Mapping[str, keras.layers.Layer],
) -> Iterator[dict[str, list]]:
    """Collects the outputs of layers that are called inside.

    A model of the layers' symbolic outputs would not do for layers of nested
    and subclassed models.

    Args:
        layers: Mapping from names to layers.

    Returns:
        Context manager of a dictionary from the names of the layers that are
        called to lists of float outputs, one for each call.

    Example:

    >>> layer = keras.layers.ReLU()
    >>> with layer_outputs({"relu": layer}) as outputs:
    ...     _ = layer(keras.ops.array([-1.0, 2.0]))
    >>> [float(x) for x in outputs["relu"][0]]
    [0.0, 2.0]
    """
    found: dict[str, list] = {}

    def listen(name: str, layer: keras.layers.Layer) -> None:
        call = layer.call

        def noted(*args: Any, **kwargs: Any) -> Any:
            outputs = call(*args, **kwargs)
            for output in tree.flatten(outputs)[:1]:
                if keras.backend.is_float_dtype(
                    keras.backend.standardize_dtype(output.dtype)
                ):
                    found.setdefault(name, []).append(output)
            return outputs

        # Not by assignment, which Keras and PyTorch track.
        vars(layer)["call"] = noted

    held = {name: vars(layer).get("call") for name, layer in layers.items()}
    try:
        for name, layer in layers.items():
            listen(name, layer)
        yield found
    finally:
        for name, layer in layers.items():
            vars(layer).pop("call", None)
            if held[name] is not None:
                vars(layer)["call"] = held[name]
