"""Activations, layer by layer: dead, saturated, shifted?"""

import os
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from ...custom_optimizers.autodiff import InnerScope, compiled
from .layer_outputs import layer_outputs
from .named_layers import named_layers
from .probe_monitor import ProbeMonitor

# Where an activation's slope ends: a sigmoid nearer to its bounds than this
# share of their distance has less than a tenth of its steepest slope.
NEAR = 0.025
_BOUNDS = {
    keras.activations.hard_sigmoid: (0.0, 1.0),
    keras.activations.hard_tanh: (-1.0, 1.0),
    keras.activations.sigmoid: (0.0, 1.0),
    keras.activations.tanh: (-1.0, 1.0),
}
_RECTIFIERS = (keras.activations.relu, keras.activations.relu6)


class ActivationMonitor(ProbeMonitor):
    """Measures what the layers of a model give out for a probe batch.

    Use it to see units that have stopped to learn, and how far the inputs of
    a layer move while the layers below it learn. It writes, for each layer
    with weights or a known activation,

    - `activation_mean/<layer>` and `activation_std/<layer>` of all outputs;
    - `activation_shift/<layer>`: how far the outputs have moved since the
      first measurement, in standard deviations of that time. Each unit counts
      with the distance of its mean and of its deviation (of two normal
      distributions, that is Wasserstein's), and all as a root mean square;
    - `dead_units/<layer>`, where the activation is a ReLU: the share of units
      that are 0 for the whole probe;
    - `saturated/<layer>`, where it is a sigmoid or tanh, smooth or hard: the
      share of outputs within 2.5 % of the range from a bound, where a sigmoid
      has less than a tenth of its steepest slope.

    Units are what the last axis counts, or the channels. The model runs as
    for inference, and a measurement costs a forward pass over the probe. Some
    128 samples are enough. The inner activations of recurrent layers cannot
    be seen from outside; those of a `SimpleRNN` are its outputs.

    Args:
        x: Inputs of the probe batch, an array or a structure of them.
        every: Positive integer. Epochs from one measurement, the first after
            the first epoch, to the next. Defaults to `5`.
        dead: Float in `[0, 1]`. A layer with a larger share of dead units
            is a problem. Defaults to `0.25`.
        saturated: Float in `[0, 1]`. A layer with a larger share of saturated
            outputs is a problem. Defaults to `0.5`.
        csv: Optional path of a table, a row for each measurement.
        log_dir: Optional path of a folder for TensorBoard, which need not be
            installed.
        verbose: `1` to print the problems, `0` for silence. Defaults to `0`.

    Attributes:
        figures: Dictionary from the measured epochs to figures by name.
        problems: Dictionary from the epochs with problems to sentences.

    Raises:
        ValueError: If an argument is outside its range or the probe is no
            batch.

    Example:

    >>> x, y = keras.ops.ones((8, 2)), keras.ops.ones((8, 1))
    >>> model = keras.Sequential([keras.layers.Dense(1, "tanh", name="last")])
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(
    ...     x, y, epochs=2, verbose=0, callbacks=[ActivationMonitor(x)]
    ... )
    >>> history.history["activation_shift/last"]
    [0.0, nan]

    Reference:

    - Glorot and Bengio, "Understanding the difficulty of training deep
      feedforward neural networks", 2010, section 3, on saturation; Ioffe and
      Szegedy, "Batch Normalization",
      [2015](https://arxiv.org/abs/1502.03167), on the shift. The latter plot
      quantiles of one unit; the distance is ours.
    """

    def __init__(
        self,
        x: Any,
        every: int = 5,
        dead: float = 0.25,
        saturated: float = 0.5,
        csv: str | os.PathLike | None = None,
        log_dir: str | os.PathLike | None = None,
        verbose: int = 0,
    ):
        super().__init__((x,), every, csv, log_dir, verbose)
        # The bounds are checked where they are used.
        activation_problems({}, dead, saturated)
        self.dead = dead
        self.saturated = saturated

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        self._first: dict[str, np.ndarray] = {}

    def evaluate(self, figures: Mapping[str, float]) -> list[str]:
        return activation_problems(figures, self.dead, self.saturated)

    def _prepare(self) -> Callable[..., dict[str, float]]:
        model = self.model
        layers = {
            name: layer
            for name, layer in named_layers(model).items()
            if layer.weights or _activation(layer) is not None
        }

        @compiled
        def measure(x):
            with (
                InnerScope(collect_losses=True),
                layer_outputs(layers) as outputs,
            ):
                model(x, training=False)
            return {
                name: _moments(layers[name], calls)
                for name, calls in outputs.items()
            }

        def figures(x):
            found = {}
            for name, moments in measure(x).items():
                now = ops.convert_to_numpy(moments).astype("float64")
                before = self._first.setdefault(name, now)
                found |= _figures(name, _activation(layers[name]), now, before)
            return found

        return figures


def activation_problems(
    figures: Mapping[str, float], dead: float = 0.25, saturated: float = 0.5
) -> list[str]:
    """Names the layers with too many dead units or saturated outputs.

    Args:
        figures: Mapping from `dead_units/<layer>` and `saturated/<layer>` to
            shares. Other names do no harm.
        dead: Float in `[0, 1]`. A larger share of dead units is a problem.
            Defaults to `0.25`.
        saturated: Float in `[0, 1]`. A larger share of saturated outputs is
            a problem. Defaults to `0.5`.

    Returns:
        List of sentences, in the order of the figures.

    Raises:
        ValueError: If a bound is outside its range.

    Example:

    >>> activation_problems({"dead_units/first": 0.5, "saturated/last": 0.1})
    ['50 % of the units of `first` are dead: 0 on the whole probe']
    """
    for name, share in (("dead", dead), ("saturated", saturated)):
        if not 0 <= share <= 1:
            raise ValueError(
                f"`{name}` must be a share in [0, 1]. Received: {name}={share}"
            )
    problems = []
    for name, share in figures.items():
        kind, _, layer = name.partition("/")
        if kind == "dead_units" and share > dead:
            problems.append(
                f"{100 * share:.3g} % of the units of `{layer}` are dead: 0 "
                "on the whole probe"
            )
        if kind == "saturated" and share > saturated:
            problems.append(
                f"{100 * share:.3g} % of the outputs of `{layer}` are "
                "saturated: beside a bound of its activation"
            )
    return problems


def _activation(layer: keras.layers.Layer) -> Any:
    """The activation that a layer's outputs come from, if it is known."""
    inner = (keras.layers.LSTM, keras.layers.GRU, keras.layers.Bidirectional)
    if isinstance(layer, inner):
        return None
    if isinstance(layer, keras.layers.ReLU) and not layer.negative_slope:
        return keras.activations.relu if not layer.threshold else None
    found = getattr(layer, "activation", None)
    known = found in _RECTIFIERS or found in _BOUNDS
    return found if known else None


def _moments(layer: keras.layers.Layer, calls: list) -> Any:
    """Mean, variance, largest size and saturated share of each unit."""
    units = []
    for output in calls:
        output = ops.cast(output, "float32")
        rank = len(output.shape)
        if getattr(layer, "data_format", None) == "channels_first" and rank > 2:
            output = ops.moveaxis(output, 1, -1)
        size = output.shape[-1] if rank > 1 else 1
        units.append(ops.reshape(output, (-1, size)))
    values = ops.concatenate(units)
    mean = ops.mean(values, axis=0)
    rows = [
        mean,
        ops.mean(ops.square(values - mean), axis=0),
        ops.max(ops.abs(values), axis=0),
    ]
    if _activation(layer) in _BOUNDS:
        low, high = _BOUNDS[_activation(layer)]
        margin = NEAR * (high - low)
        near = (values < low + margin) | (values > high - margin)
        rows.append(ops.mean(ops.cast(near, "float32"), axis=0))
    return ops.stack(rows)


def _figures(
    name: str, activation: Any, now: np.ndarray, before: np.ndarray
) -> dict[str, float]:
    mean, variance, largest = now[:3]
    old_mean, old_variance = before[:2]
    moved = (mean - old_mean) ** 2 + (
        np.sqrt(variance) - np.sqrt(old_variance)
    ) ** 2
    with np.errstate(all="ignore"):
        shift = np.sqrt(np.mean(moved) / np.mean(old_variance))
    found = {
        f"activation_mean/{name}": float(np.mean(mean)),
        f"activation_std/{name}": float(
            np.sqrt(np.mean(variance) + np.var(mean))
        ),
        f"activation_shift/{name}": float(shift) if np.any(moved) else 0.0,
    }
    if activation in _RECTIFIERS:
        found[f"dead_units/{name}"] = float(np.mean(largest == 0))
    if activation in _BOUNDS:
        found[f"saturated/{name}"] = float(np.mean(now[3]))
    return found
