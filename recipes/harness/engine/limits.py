"""What a model cannot do on several devices, known before it trains."""

import math
from collections.abc import Iterator
from typing import Any

import keras

from ....custom_layers.seed_generator import SeedGenerator
from ....custom_models.full_batch_model import FullBatchModel
from ....custom_optimizers.wrappers.adaptive_gradient_clipping import (
    AdaptiveGradientClipping,
)
from ....custom_optimizers.wrappers.gradient_noise import GradientNoise
from .computation import Computation

_CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")


def why_refused(
    model: keras.Model, computation: Computation, batch_size: int
) -> str | None:
    """Returns why a strategy would fail, or give other numbers; else None.

    Args:
        model: A compiled `keras.Model`.
        computation: What is asked.
        batch_size: Integer. That of training.
    """
    strategy, devices = computation.strategy, computation.devices
    if strategy is None or devices is None:
        return None
    if isinstance(model, FullBatchModel):
        return "a `FullBatchModel` computes on all rows at once, not in batches"
    if batch_size % devices:
        return (
            f"a batch of {batch_size} does not divide by {devices} devices: "
            "take another batch_size, or --devices"
        )
    if strategy != "mirrored":
        return None
    failing = _failing(model) or next(
        filter(None, map(_failing_in, _optimizers(model.optimizer))), None
    )
    return failing and f"{failing}; data_parallel on JAX does it right"


def remarks(model: keras.Model, computation: Computation) -> list[str]:
    """Returns sentences on what a strategy does otherwise than one device."""
    if computation.strategy != "mirrored":
        return []
    found = []
    # Keras has no public walk over nested layers.
    layers = model._flatten_layers(include_self=False)
    for layer in layers:
        if getattr(layer, "synchronized", None) is False:
            found.append(
                "batch normalization takes each device's own share of a batch "
                "(synchronized=True takes the whole)"
            )
        streams = (
            value
            for value in vars(layer).values()
            if isinstance(value, keras.random.SeedGenerator)
        )
        if any(not isinstance(stream, SeedGenerator) for stream in streams):
            found.append(
                "Keras' own random layers draw the same on every device"
            )
    return [f"mirrored: {remark}" for remark in dict.fromkeys(found)]


def undivided(
    rows: int, batch_size: int, computation: Computation
) -> list[str]:
    """Returns a sentence on the last batch of a pass, if devices share it ill.

    >>> undivided(61, 16, Computation("data_parallel", devices=2))
    ['data_parallel: the last batch of a pass, 13 rows, does not divide by 2 \
devices, and each computes it whole']
    """
    rest = rows % batch_size
    devices = computation.devices
    if computation.strategy is None or devices is None or not rest % devices:
        return []
    sentence = (
        f"{computation.strategy}: the last batch of a pass, {rest} rows, does "
        f"not divide by {devices} devices, and each computes it whole"
    )
    if computation.strategy == "mirrored":
        times = devices // math.gcd(rest, devices)
        sentence += f"; it counts {times} times in the curves of training"
    return [sentence]


def _failing(model: Any) -> str | None:
    if model.steps_per_execution != 1:
        return "`steps_per_execution` fails under mirrored in Keras 3.15"
    import tensorflow as tf

    if model.jit_compile and not tf.config.list_physical_devices("GPU"):
        return "`jit_compile=True` fails on virtual devices of a CPU"
    return None


def _failing_in(optimizer: Any) -> str | None:
    if getattr(optimizer, "gradient_accumulation_steps", None):
        return (
            "`gradient_accumulation_steps` fails under mirrored in Keras 3.15"
        )
    overwrites = getattr(optimizer, "ema_overwrite_frequency", None)
    if getattr(optimizer, "use_ema", False) and overwrites:
        return "`ema_overwrite_frequency` fails under mirrored in Keras 3.15"
    for name in _CLIPPING:
        if getattr(optimizer, name, None) is not None:
            return (
                f"`{name}` clips each device's share before they are added, "
                "not the gradient"
            )
    if isinstance(optimizer, AdaptiveGradientClipping | GradientNoise):
        return (
            f"`{type(optimizer).__name__}` changes each device's share before "
            "they are added, not the gradient"
        )
    return None


def _optimizers(optimizer: Any) -> Iterator[Any]:
    """Yields an optimizer and those that it wraps."""
    yield optimizer
    inner = getattr(optimizer, "inner_optimizer", None)
    several = getattr(optimizer, "optimizers", ())  # Of a `MultiOptimizer`.
    for one in (inner, *several):
        if one is not None:
            yield from _optimizers(one)
