"""Predictions with a measure of what the model does not know."""

import contextlib
import inspect
import numbers
from typing import Any, NamedTuple

import keras
import numpy as np

from .concrete_dropout import ConcreteDropout
from .drop_block import DropBlock1D, DropBlock2D
from .drop_connect import DropConnect
from .standard_dropout import StandardDropout
from .stochastic_depth import StochasticDepth
from .variational_dropout import VariationalDropout
from .zoneout_cell import ZoneoutCell

# Layers that drop if one of their rates is not 0, by the names of the rates.
_RATES = ("rate", "dropout", "recurrent_dropout", "hidden_rate", "cell_rate")
_WITH_RATES = (
    keras.layers.AlphaDropout,
    keras.layers.Dropout,  # `SpatialDropout1D` to `3D` are some.
    keras.layers.GaussianDropout,
    keras.layers.GRUCell,
    keras.layers.LSTMCell,
    keras.layers.RNN,  # `LSTM`, `ConvLSTM2D`, `ZoneoutLSTM` and so on.
    keras.layers.SimpleRNNCell,
    DropBlock1D,
    DropBlock2D,
    DropConnect,
    StandardDropout,  # `MonteCarloDropout` and `ScheduledDropout` are some.
    StochasticDepth,
    ZoneoutCell,
)
_LEARNED = (ConcreteDropout, VariationalDropout)


class UncertainPrediction(NamedTuple):
    """What `predict_with_uncertainty` returns, for one output of a model.

    Args:
        mean: Array of the output's shape. The mean of the samples.
        std: Array of the output's shape. Their standard deviation.
        entropy: Array, or `None` where the output holds no probabilities. The
            entropy of the mean, in nats: all that is uncertain.
        mutual_information: Array or `None`, as `entropy`. The entropy of the
            mean minus the mean of the samples' entropies, in nats: what is
            uncertain because the model is. The rest is in the data.

    Example:

    >>> half = np.array([0.5])
    >>> UncertainPrediction(half, half, None, None).std.tolist()
    [0.5]
    """

    mean: np.ndarray
    std: np.ndarray
    entropy: np.ndarray | None
    mutual_information: np.ndarray | None


def predict_with_uncertainty(
    model: keras.Model,
    x: Any,
    samples: int = 50,
    batch_size: int = 256,
    binary: bool = False,
) -> UncertainPrediction:
    """Predicts by many passes with dropout, and says how far they differ.

    Use it on a trained model with dropout of any kind. Only what drops is in
    training mode: `Dropout`, `SpatialDropout1D` to `3D`, `GaussianDropout` and
    `AlphaDropout`, recurrent layers and cells with `dropout` or
    `recurrent_dropout`, attention with `dropout`, the dropout layers of this
    library, and any layer with an attribute `dropout_like = True`. All others,
    batch normalization above all, stay in inference mode, inside of such
    layers too, and the model is left as it was. Nested models are searched.

    The inputs are taken in batches and each batch passes `samples` times
    through one compiled step, so memory holds the samples of one batch only.
    A model with several outputs gives a prediction for each, in the model's
    own structure.

    Args:
        model: A built Keras model with at least one layer that drops.
        x: An array, or a list or dictionary of arrays, as `model.predict`
            takes it.
        samples: Integer, 2 or more. The number of passes. Default 50.
        batch_size: Positive integer. The number of inputs in a pass. Default
            256.
        binary: Boolean. Whether each number of the output is the probability
            of a class by itself, as from a sigmoid; without it, outputs whose
            last axis sums to 1 are taken for probabilities. Default `False`.

    Returns:
        `UncertainPrediction` of float64 arrays: `mean`, `std`, `entropy` and
        `mutual_information`. The last two lack the last axis of the output
        (with `binary`, they have it), and are `None` for an output that holds
        no probabilities.

    Raises:
        ValueError: If `model` is not a Keras model, nothing in it drops, `x`
            is not made of arrays of the same length, `samples` is not an
            integer of 2 or more, `batch_size` not a positive integer, `binary`
            not a boolean, or `binary` is set and an output is outside
            `[0, 1]`.

    Example:

    >>> inputs = keras.Input((4,))
    >>> dropped = keras.layers.Dropout(0.5)(inputs)
    >>> model = keras.Model(inputs, keras.layers.Dense(1)(dropped))
    >>> prediction = predict_with_uncertainty(model, np.ones((3, 4)), samples=9)
    >>> prediction.std.shape
    (3, 1)

    Reference:

    - Gal and Ghahramani, "Dropout as a Bayesian Approximation: Representing
      Model Uncertainty in Deep Learning",
      [2016](https://arxiv.org/abs/1506.02142), equations 6 to 8, without the
      noise of the data, 1 / tau, which is the loss function's. The deviation
      has `samples - 1` in its denominator. Entropy and mutual information are
      those of Gal, "Uncertainty in Deep Learning", 2016, section 3.3.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: {model}")
    if not (isinstance(samples, numbers.Integral) and samples >= 2):
        raise ValueError(
            f"`samples` must be an integer, 2 or more. Received: {samples=}"
        )
    if not (isinstance(batch_size, numbers.Integral) and batch_size > 0):
        raise ValueError(
            f"`batch_size` must be a positive integer. Received: {batch_size=}"
        )
    if not isinstance(binary, bool):
        raise ValueError(f"`binary` must be a boolean. Received: {binary=}")
    arrays = keras.tree.flatten(x)
    counts = {a.shape[0] for a in arrays if getattr(a, "shape", ())}
    if len(counts) != 1 or not all(hasattr(a, "shape") for a in arrays):
        raise ValueError(
            "`x` must be an array, or arrays of the same length in a list or "
            f"dictionary. Received: x={keras.tree.map_structure(type, x)}"
        )
    (count,) = counts
    # Private, for Keras has no public walk over the layers in layers.
    droppers = [layer for layer in model._flatten_layers() if _drops(layer)]
    if not droppers:
        raise ValueError(
            "`model` has no layer that drops anything, so all samples would "
            "be equal. Add `keras.layers.Dropout` and train it. "
            f"Received: model={model.name}"
        )

    parts = []  # For each batch the summaries of all outputs.
    with _switched_on(droppers), _fresh_predict_function(model):
        for start in range(0, count, batch_size):
            batch = keras.tree.map_structure(
                lambda a, start=start: a[start : start + batch_size], x
            )
            draws = [model.predict_on_batch(batch) for _ in range(samples)]
            structure = draws[0]
            flat = map(keras.tree.flatten, draws)
            parts.append(
                [_summary(np.stack(d), binary) for d in zip(*flat, strict=True)]
            )
    return keras.tree.pack_sequence_as(
        structure, [_joined(output) for output in zip(*parts, strict=True)]
    )


def _drops(layer):
    if isinstance(layer, _WITH_RATES):
        # A rate may be a variable, or a list of them.
        rates = [getattr(layer, name, 0) for name in _RATES]
        return any(np.max(keras.ops.convert_to_numpy(r)) > 0 for r in rates)
    return isinstance(layer, _LEARNED) or getattr(layer, "dropout_like", False)


@contextlib.contextmanager
def _switched_on(droppers):
    """Calls these layers, and no others, as if in training."""

    def calling(call, training):
        return lambda *args, **kwargs: call(
            *args, **{**kwargs, "training": training}
        )

    # What stands in such a layer would be told that it is in training.
    modes = {
        inner: False
        for layer in droppers
        for inner in layer._flatten_layers(include_self=False)
    }
    modes |= dict.fromkeys(droppers, True)
    modes = {
        layer: training
        for layer, training in modes.items()
        if "training" in inspect.signature(layer.call).parameters
    }
    try:
        for layer, training in modes.items():
            layer.call = calling(layer.call, training)
        yield
    finally:
        for layer in modes:
            vars(layer).pop("call", None)  # The class' own shows again.


@contextlib.contextmanager
def _fresh_predict_function(model):
    """Has the prediction compiled anew, and then the old one back."""
    kept, model.predict_function = model.predict_function, None
    try:
        yield
    finally:
        model.predict_function = kept


def _summary(draws, binary):
    """Returns the moments and entropies of `(samples, batch, ...)`."""
    draws = draws.astype("float64")
    mean, std = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    if binary:
        if not (draws.min() >= 0 and draws.max() <= 1):
            raise ValueError(
                "With `binary=True` outputs must be probabilities in [0, 1]. "
                f"Received: outputs from {draws.min()} to {draws.max()}"
            )
        draws = np.stack([draws, 1 - draws], axis=-1)
    elif not _are_distributions(draws):
        return UncertainPrediction(mean, std, None, None)
    entropy = _entropy(draws.mean(axis=0))
    expected = _entropy(draws).mean(axis=0)
    # Never negative but by rounding.
    return UncertainPrediction(
        mean, std, entropy, np.maximum(entropy - expected, 0)
    )


def _are_distributions(draws):
    # A hundredth: the sum of many probabilities in half precision.
    return (
        draws.ndim > 2
        and draws.shape[-1] > 1
        and draws.min() >= 0
        and np.allclose(draws.sum(axis=-1), 1, rtol=0, atol=0.01)
    )


def _entropy(probabilities):
    logs = np.log(np.where(probabilities > 0, probabilities, 1))
    return -np.sum(probabilities * logs, axis=-1)


def _joined(summaries):
    """Returns the summary of all batches."""
    fields = zip(*summaries, strict=True)
    return UncertainPrediction(
        *(
            None
            if any(part is None for part in field)
            else np.concatenate(field)
            for field in fields
        )
    )
