"""Arms that start equal: seeds from (seed, path, shape), not from order.

By default Keras draws the seed of each initializer and dropout layer from one
stream, so a single extra `Dropout` gives every later layer other initial
weights, and a paired comparison of two arms compares two random nets.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from .kernel_cache import kernels_kept


@contextmanager
def paired(seed: int) -> Iterator[Callable[[keras.Model], None]]:
    """Pairs all weights that are created while the context is open.

    Each random initializer without a seed of its own gets one that depends
    on `seed`, the weight's path without the names of wrappers, and its
    shape. So a weight that two arms share starts equal in both; initializers
    that differ in scale give the same draws at their own scale. What is
    written into weights later stands.

    Args:
        seed: Integer. The seed that the arms share.

    Yields:
        A function to be called on the finished model, which does the same
        for the random streams of its layers, such as dropout's.

    Example:

    >>> def first_weight(*layers):
    ...     with paired(seed=7):
    ...         model = keras.Sequential([keras.Input((2,)), *layers])
    ...     return float(model.weights[0][0, 0])
    >>> bare = first_weight(keras.layers.Dense(3, name="dense"))
    >>> dense = keras.layers.Dense(3, name="dense")
    >>> bare == first_weight(keras.layers.Dropout(0.5), dense)
    True
    """
    with kernels_kept():
        # Names start anew; collecting garbage would take a fifth of a cell.
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(seed)
    wrappers: set[str] = set()
    add_weight = keras.layers.Layer.add_weight
    wrap = keras.layers.Wrapper.__init__

    def identity(path: str) -> str:
        return "/".join(p for p in path.split("/") if p not in wrappers)

    def add_paired_weight(layer, *args, **kwargs):
        kwargs.update(
            zip(("shape", "initializer", "dtype"), args, strict=False)
        )
        initializer = kwargs.get("initializer")
        if initializer is None and "float" in str(
            kwargs.get("dtype") or layer.variable_dtype
        ):
            initializer = "glorot_uniform"  # Keras' own default.
        if initializer is not None:
            path = f"{layer.path or layer.name}/{kwargs.get('name')}"
            kwargs["initializer"] = _seeded(
                keras.initializers.get(initializer),
                _digest(seed, identity(path), kwargs.get("shape")),
            )
        return add_weight(layer, **kwargs)

    def init_wrapper(wrapper, *args, **kwargs):
        wrap(wrapper, *args, **kwargs)
        wrappers.add(wrapper.name)

    def pair_streams(model: keras.Model) -> None:
        # Keras has no public walk over nested layers.
        for layer in model._flatten_layers():
            path = identity(layer.path or layer.name)
            for name, stream in sorted(vars(layer).items()):
                if (
                    isinstance(stream, keras.random.SeedGenerator)
                    and stream.get_config()["seed"] is None
                ):
                    stream.state.assign([_digest(seed, path, name), 0])

    keras.layers.Layer.add_weight = add_paired_weight
    keras.layers.Wrapper.__init__ = init_wrapper
    try:
        yield pair_streams
    finally:
        keras.layers.Layer.add_weight = add_weight
        keras.layers.Wrapper.__init__ = wrap


def _seeded(initializer: Any, seed: int) -> Any:
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    config = initializer.get_config()
    if "seed" not in config or config["seed"] is not None:
        return initializer
    return type(initializer).from_config({**config, "seed": seed})


def _digest(*parts: object) -> int:
    text = "|".join(str(part) for part in parts)
    # 31 bits: a signed 32-bit seed on every backend.
    return zlib.crc32(text.encode()) & 0x7FFFFFFF
