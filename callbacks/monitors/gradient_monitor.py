"""Gradients, layer by layer: do they vanish or explode?"""

import math
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from ...custom_models.training_step import as_dense, differentiate
from ...custom_optimizers.autodiff import compiled
from .named_layers import named_layers
from .probe_monitor import ProbeMonitor
from .scratch_optimizer import ScratchOptimizer

_NORM, _RATIO = "gradient_norm/", "update_ratio/"


class GradientMonitor(ProbeMonitor):
    """Measures the gradient and the update of each layer on a probe batch.

    Use it to see which layers learn: where a gradient vanishes on its way
    down, a layer stands still; where it explodes, as through many time steps,
    a single update undoes the training. It writes, for each layer with
    weights, `gradient_norm/<layer>`, the length of the loss' gradient by the
    layer's weights, and `update_ratio/<layer>`, the length of the update that
    the optimizer would make of it, clipping, momentum and all, over that of
    the weights: some 1e-3 is usual. What is wrong it says in `problems`.

    The gradient is that of the compiled loss with its penalties, in training
    mode, but nothing that it assigns or draws stays: training goes on as
    without the monitor. A measurement costs about a training step on the probe
    and needs memory for a second optimizer. Some 128 samples are enough.

    Args:
        x: Inputs of the probe batch, an array or a structure of them.
        y: Its targets, likewise.
        every: Positive integer. Epochs from one measurement, the first after
            the first epoch, to the next. Defaults to `5`.
        vanishing: Float in `[0, 1)`. A gradient below this share of the
            largest layer's has vanished. Defaults to `1e-4`.
        exploding: Positive float. A gradient longer than this has exploded.
            Defaults to `1000.0`.
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

    >>> model = keras.Sequential([keras.layers.Dense(1, name="dense")])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> x, y = keras.ops.ones((8, 2)), keras.ops.ones((8, 1))
    >>> history = model.fit(
    ...     x, y, epochs=2, verbose=0, callbacks=[GradientMonitor(x, y)]
    ... )
    >>> len(history.history["gradient_norm/dense"])
    2

    Reference:

    - Glorot and Bengio, "Understanding the difficulty of training deep
      feedforward neural networks", 2010, section 4.2; Pascanu, Mikolov and
      Bengio, "On the difficulty of training recurrent neural networks",
      [2013](https://arxiv.org/abs/1211.5063). They plot gradients; the bounds
      beyond which we call one vanishing or exploding are ours.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        every: int = 5,
        vanishing: float = 1e-4,
        exploding: float = 1e3,
        csv: str | os.PathLike | None = None,
        log_dir: str | os.PathLike | None = None,
        verbose: int = 0,
    ):
        super().__init__((x, y), every, csv, log_dir, verbose)
        # The bounds are checked where they are used.
        gradient_problems({}, vanishing, exploding)
        self.vanishing = vanishing
        self.exploding = exploding

    def evaluate(self, figures: Mapping[str, float]) -> list[str]:
        return gradient_problems(
            {
                name.removeprefix(_NORM): figure
                for name, figure in figures.items()
                if name.startswith(_NORM)
            },
            self.vanishing,
            self.exploding,
        )

    def _prepare(self) -> Callable[..., dict[str, float]]:
        model = self.model
        weights = model.trainable_variables
        by_layer = _places_by_layer(model)
        scratch = self._scratch(weights)

        @compiled
        def measure(x, y):
            def loss():
                y_pred = model(x, training=True)
                value = model.compute_loss(
                    x=x, y=y, y_pred=y_pred, training=True
                )
                return value, None

            scale = model.optimizer.scale_loss
            values = [weight.value for weight in weights]
            _, _, gradients = differentiate(loss, weights, values, scale=scale)
            gradients = [
                ops.zeros_like(v) if g is None else as_dense(g)
                for g, v in zip(gradients, values, strict=True)
            ]
            one = scale(ops.ones(()))
            rows = [[_length(gradient) / one for gradient in gradients]]
            if scratch is not None:
                rows.append([_length(u) for u in scratch.updates(gradients)])
                rows.append([_length(weight.value) for weight in weights])
            return ops.stack([ops.stack(row) for row in rows])

        def figures(x, y):
            lengths = ops.convert_to_numpy(measure(x, y)).astype("float64")
            found = {}
            for name, places in by_layer.items():
                with np.errstate(all="ignore"):
                    squares = np.sum(lengths[:, places] ** 2, axis=1)
                    norm, *rest = np.sqrt(squares)
                    found[_NORM + name] = float(norm)
                    if rest:
                        found[_RATIO + name] = float(rest[0] / rest[1])
            return found

        return figures

    def _scratch(self, weights: list) -> ScratchOptimizer | None:
        try:
            return ScratchOptimizer(self.model.optimizer, weights)
        except ValueError as error:
            warnings.warn(
                f"update ratios are not measured: {error}", stacklevel=2
            )
            return None


def gradient_problems(
    norms: Mapping[str, float],
    vanishing: float = 1e-4,
    exploding: float = 1e3,
) -> list[str]:
    """Names the layers whose gradient has vanished or exploded.

    Args:
        norms: Mapping from the names of layers to lengths of gradients.
        vanishing: Float in `[0, 1)`. A length below this share of the largest
            has vanished, unless one has exploded, beside which all others
            would seem to have. Defaults to `1e-4`.
        exploding: Positive float. A length above this has exploded, as one
            has that is no finite number. Defaults to `1000.0`.

    Returns:
        List of sentences, in the order of the layers.

    Raises:
        ValueError: If a bound is outside its range.

    Example:

    >>> gradient_problems({"first": 2e-7, "last": 0.5})
    ['the gradient vanishes at `first`: 2e-07, or 4e-07 of the 0.5 of `last`']
    >>> gradient_problems({"rnn": 5e4, "dense": 3.0})
    ['the gradient explodes at `rnn`: 5e+04, above 1000']
    """
    if not 0 <= vanishing < 1:
        raise ValueError(
            "`vanishing` must be a share in [0, 1). "
            f"Received: vanishing={vanishing}"
        )
    if not exploding > 0:
        raise ValueError(
            "`exploding` must be a positive number. "
            f"Received: exploding={exploding}"
        )
    problems = [
        f"the gradient explodes at `{layer}`: {norm:.3g}, "
        + (
            f"above {exploding:g}"
            if math.isfinite(norm)
            else "which is no finite number"
        )
        for layer, norm in norms.items()
        if not norm <= exploding or norm == math.inf
    ]
    if problems or not norms:
        return problems
    top = max(norms, key=lambda layer: norms[layer])
    return [
        f"the gradient vanishes at `{layer}`: {norm:.3g}, or "
        f"{norm / norms[top]:.3g} of the {norms[top]:.3g} of `{top}`"
        for layer, norm in norms.items()
        if norm < vanishing * norms[top]
    ]


def _places_by_layer(model: keras.Model) -> dict[str, list[int]]:
    """Which of the model's trainable weights a layer holds, by its name."""
    left = {id(w): place for place, w in enumerate(model.trainable_variables)}
    found = {}
    # The model itself last, for weights of its own.
    for name, layer in [*named_layers(model).items(), (model.name, model)]:
        own = [id(weight) for weight in layer.trainable_variables]
        places = [left.pop(weight) for weight in own if weight in left]
        if places:
            found[name] = places
    return found


def _length(tensor: Any) -> Any:
    tensor = ops.cast(tensor, "float32")
    # The squares of what has exploded would overflow.
    largest = ops.max(ops.abs(tensor))
    scaled = tensor / ops.where(largest > 0, largest, ops.ones_like(largest))
    return largest * ops.sqrt(ops.sum(ops.square(scaled)))
