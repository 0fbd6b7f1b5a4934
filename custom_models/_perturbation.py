"""Perturbations of inputs, which attacks and training methods share."""

import math
import numbers
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from ..custom_optimizers.autodiff import while_loop

NORMS = ("linf", "l2")
Clip = tuple[float, float] | None


def ascend(
    gradient: Callable[[Any], Any],
    x: Any,
    start: Any,
    *,
    epsilon: float,
    norm: str,
    clip: Clip,
    step_size: float,
    steps: int,
) -> Any:
    """Returns inputs after steps uphill, at most `epsilon` away from `x`.

    Args:
        gradient: Function from inputs to the gradient of what shall grow.
        x: Float tensor `(samples, ...)`.
        start: Tensor of that shape, the first perturbation, or `None`.
        epsilon: Float, the largest size of the perturbation of a sample.
        norm: `"linf"` or `"l2"`: what its size is, and each step steepest in.
        clip: Pair of the smallest and the largest value of inputs, or `None`.
        step_size: Float, the size of a step.
        steps: Integer, 1 or more.
    """

    def step(delta):
        slope = gradient(within(x + delta, clip))
        # What overflows under loss scaling, whose step is skipped anyway.
        slope = ops.where(ops.isfinite(slope), slope, ops.zeros_like(slope))
        delta = delta + step_size * steepest(slope, norm)
        delta = projected(delta, epsilon, norm)
        return delta if clip is None else within(x + delta, clip) - x

    delta = ops.zeros_like(x) if start is None else start
    if steps == 1:
        delta = step(delta)
    else:  # A loop, since compiling each step for itself would take long.
        _, delta = while_loop(
            lambda state: state[0] < steps,
            lambda state: (state[0] + 1, step(state[1])),
            (ops.zeros((), "int32"), delta),
        )
    return ops.stop_gradient(within(x + delta, clip))


def steepest(gradient: Any, norm: str) -> Any:
    """Returns the direction of size 1 in which a function grows the most."""
    return ops.sign(gradient) if norm == "linf" else unit(gradient)


def unit(x: Any) -> Any:
    """Returns each sample at length 1; one of zeros alone stays."""
    axes = tuple(range(1, len(x.shape)))
    # The square of a small gradient would be zero.
    largest = ops.max(ops.abs(x), axis=axes, keepdims=True)
    x = x / ops.where(largest > 0, largest, ops.ones_like(largest))
    length = ops.sqrt(ops.sum(x * x, axis=axes, keepdims=True))
    return x / ops.where(length > 0, length, ops.ones_like(length))


def projected(delta: Any, epsilon: float, norm: str) -> Any:
    """Returns the nearest perturbation whose size is at most `epsilon`."""
    if norm == "linf":
        return ops.clip(delta, -epsilon, epsilon)
    axes = tuple(range(1, len(delta.shape)))
    length = ops.sqrt(ops.sum(delta * delta, axis=axes, keepdims=True))
    return ops.where(length > epsilon, epsilon * unit(delta), delta)


def within(x: Any, clip: Clip) -> Any:
    """Returns inputs in the range that is allowed, if one is."""
    return x if clip is None else ops.clip(x, *clip)


def random_direction(x: Any, norm: str, seed: Any) -> Any:
    """Returns random signs, or for `"l2"` random directions of length 1."""
    if norm == "linf":
        draw = keras.random.uniform(ops.shape(x), dtype=x.dtype, seed=seed)
        one = ops.ones_like(x)
        return ops.where(draw < 0.5, -one, one)
    draw = keras.random.normal(ops.shape(x), dtype=x.dtype, seed=seed)
    return unit(draw)


def random_in_ball(x: Any, epsilon: float, norm: str, seed: Any) -> Any:
    """Returns perturbations drawn uniformly among those allowed."""
    if norm == "linf":
        return keras.random.uniform(
            ops.shape(x), -epsilon, epsilon, dtype=x.dtype, seed=seed
        )
    direction = random_direction(x, norm, seed)
    one_each = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
    share = keras.random.uniform(one_each, dtype=x.dtype, seed=seed)
    # The volume within a radius r of n dimensions grows as r ** n.
    return epsilon * share ** (1 / math.prod(x.shape[1:])) * direction


def as_float(x: Any) -> Any:
    """Returns the inputs to perturb as one float tensor."""
    if isinstance(x, dict | list | tuple):
        raise ValueError(
            "Perturbed inputs must be one array. "
            f"Received: a {type(x).__name__} of {len(x)}"
        )
    x = ops.convert_to_tensor(x)
    if len(x.shape) < 2:
        raise ValueError(
            "Perturbed inputs must be of the shape `(samples, ...)`, and of "
            f"rank 2 or more. Received: shape={tuple(x.shape)}"
        )
    if "float" not in keras.backend.standardize_dtype(x.dtype):
        x = ops.cast(x, keras.config.floatx())
    return x


def check_perturbation(
    epsilon: float,
    norm: str = "linf",
    clip: Clip = None,
    step_size: float | None = None,
    steps: int = 1,
) -> Clip:
    """Refuses settings that are out of range; returns `clip` as numbers."""
    check_size("epsilon", epsilon)
    if norm not in NORMS:
        raise ValueError(
            f"`norm` must be 'linf' or 'l2'. Received: norm={norm!r}"
        )
    if step_size is not None:
        check_size("step_size", step_size)
    check_count("steps", steps)
    if clip is None:
        return None
    low, high = clip
    if not low < high:
        raise ValueError(
            "`clip` must be a pair of the smallest and the largest value of "
            f"inputs, or `None`. Received: clip={clip}"
        )
    return float(low), float(high)


def check_size(name: str, value: float) -> None:
    """Refuses what is no finite number of at least 0."""
    if not 0 <= value < math.inf:
        raise ValueError(
            f"`{name}` must be a finite number of at least 0. "
            f"Received: {name}={value}"
        )


def check_count(name: str, value: int, least: int = 1) -> None:
    """Refuses what is no integer, or too small."""
    if not (isinstance(value, numbers.Integral) and value >= least):
        raise ValueError(
            f"`{name}` must be an integer of at least {least}. "
            f"Received: {name}={value}"
        )
