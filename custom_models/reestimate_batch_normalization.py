"""Moving statistics of batch normalization, recomputed exactly from data."""

import functools
import numbers
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ..custom_layers.normalization.masked_mean import align_mask
from ..custom_layers.normalization.mean_only_batch_normalization import (
    MeanOnlyBatchNormalization,
)
from ..custom_layers.normalization.unbiased_batch_normalization import (
    UnbiasedBatchNormalization,
)
from ..custom_layers.reparameterization.kernel_wrapper import replaced
from ._batches import is_array, leaves, num_samples
from ._surgery import copied

_KINDS = (keras.layers.BatchNormalization, MeanOnlyBatchNormalization)


def reestimate_batch_normalization(
    model: keras.Model,
    x: Any,
    batch_size: int = 128,
    sequential: bool = True,
) -> keras.Model:
    """Returns a new model whose batch normalization fits its weights.

    Use it where weights were changed without training: averaged (stochastic
    weight averaging), pruned, widened, loaded into other data. The moving
    statistics then belong to other weights, and a running average of the last
    steps is a noisy estimate anyway. Afterwards each batch normalization layer
    has the mean and the variance of the inputs that it gets at inference, over
    all of `x`, to float32 accuracy and whatever the batch size. Dropout is off.

    The statistics of a layer depend on those of the layers before, so `x` is
    read once for each layer of batch normalization, and once to find their
    order. For a deep net take a sample of the data, or `sequential=False`: a
    single pass, in which each layer normalizes with the statistics of the
    batch, as in training. The first layer's are exact then, too, the others'
    depend somewhat on the batches.

    Layers that are frozen are estimated anew, too. Of `x`, a layer with a mask
    counts what is not masked. The layers meant are
    `keras.layers.BatchNormalization` and those of this library that are one
    (`UnbiasedBatchNormalization`, whose variance divides by n - 1,
    `GhostBatchNormalization`, `BatchRenormalization`), and
    `MeanOnlyBatchNormalization`, however deep they lie in the model.

    Args:
        model: A functional or sequential model with batch normalization. It
            is left as it is.
        x: The inputs: an array, or a list, tuple or dictionary of them. Or
            batches as for `fit`, in anything that can be iterated again and
            again, such as a `tf.data.Dataset`; targets are ignored.
        batch_size: Integer, at least 1. Samples per call, if `x` is arrays.
            It changes nothing but time and memory if `sequential`.
        sequential: Boolean. Whether each layer waits until those before it
            have their new statistics. Default `True`.

    Returns:
        A new `keras.Model` of the same class and name, not compiled.

    Raises:
        ValueError: If `model` is subclassed, or has no batch normalization; or
            if `x` is empty or `batch_size` less than 1.

    Example:

    >>> model = keras.Sequential(
    ...     [keras.Input((1,)), keras.layers.BatchNormalization()]
    ... )
    >>> new = reestimate_batch_normalization(model, np.array([[1.0], [5.0]]))
    >>> [float(w[0]) for w in new.non_trainable_weights]
    [3.0, 4.0]

    Reference:

    - Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network
      Training by Reducing Internal Covariate Shift",
      [2015](https://arxiv.org/abs/1502.03167), algorithm 2; Izmailov et al.,
      "Averaging Weights Leads to Wider Optima and Better Generalization",
      [2018](https://arxiv.org/abs/1803.05407), section 3.2. The first averages
      over the batches' variances, here the batches are pooled, so that
      differences between their means count; the second makes one pass, as
      `sequential=False` does.
    """
    new = copied(model)
    reestimate_in_place(new, x, batch_size, sequential)
    return new


def reestimate_in_place(
    model: keras.Model,
    x: Any,
    batch_size: int = 128,
    sequential: bool = True,
    layers: Sequence[keras.layers.Layer] | None = None,
) -> None:
    """Gives a model's own batch normalization the statistics of data.

    Use it inside of a callback: unlike `reestimate_batch_normalization` it
    copies nothing, and takes a subclassed model, too.

    Args:
        model: A built model with batch normalization.
        x: As for `reestimate_batch_normalization`.
        batch_size: As there.
        sequential: As there.
        layers: The layers to estimate. Default: all that there are.

    Raises:
        ValueError: If `model` has no batch normalization, or an argument is
            not as said above.

    Example:

    >>> norm = keras.layers.BatchNormalization()
    >>> model = keras.Sequential([keras.Input((1,)), norm])
    >>> reestimate_in_place(model, np.array([[1.0], [5.0]]))
    >>> float(norm.moving_mean[0]), float(norm.moving_variance[0])
    (3.0, 4.0)
    """
    if layers is None:
        inside = model._flatten_layers()
        layers = [layer for layer in inside if isinstance(layer, _KINDS)]
    if not layers:
        raise ValueError(
            "`model` must have batch normalization, or there is nothing to "
            f"estimate. Received: model={model}"
        )
    if not (isinstance(batch_size, numbers.Integral) and batch_size >= 1):
        raise ValueError(
            "`batch_size` must be an integer of at least 1. "
            f"Received: batch_size={batch_size}"
        )
    batches = functools.partial(_batches, x, batch_size)
    first = next(batches(), None)
    if first is None:
        raise ValueError("`x` must hold at least one sample. Received: none")
    found: dict[Any, _Moments] = {}
    _run(model, layers, [first], found)
    # In the order of their calls, each layer's comes after what it depends on.
    called = list(found)
    for together in [[m] for m in called] if sequential else [called]:
        found = {}
        _run(model, together, batches(), found)
        for layer, moments in found.items():
            moments.give_to(layer)


def _batches(x: Any, batch_size: int) -> Iterator[Any]:
    if all(map(is_array, leaves(x))):
        for start in range(0, num_samples(x), batch_size):
            part = slice(start, start + batch_size)
            yield keras.tree.map_structure(operator.itemgetter(part), x)
        return
    if isinstance(x, keras.utils.PyDataset):
        x = map(x.__getitem__, range(x.num_batches))
    for batch in x:
        yield keras.utils.unpack_x_y_sample_weight(batch)[0]


class _Moments:
    """The count, mean and sum of squares around it, by channel."""

    def __init__(self) -> None:
        self.count: Any = 0
        self.mean: Any = 0
        self.squares: Any = 0

    def add(self, values: np.ndarray, counts: np.ndarray) -> None:
        """Pools with values of shape `(samples, channels)`, by Chan's rule."""
        count = counts.sum(0)
        some = np.maximum(count, 1)
        mean = np.sum(values, 0, where=counts) / some
        squares = np.sum(np.square(values - mean), 0, where=counts)
        total = np.maximum(self.count + count, 1)
        shift = mean - self.mean
        self.squares += squares + shift**2 * self.count * count / total
        self.mean += shift * count / total
        self.count += count

    def give_to(self, layer: keras.layers.Layer) -> None:
        """Assigns what was seen; a channel that was not keeps what it has."""
        unbiased = isinstance(layer, UnbiasedBatchNormalization)
        divisor = self.count - unbiased
        _assign(layer.moving_mean, self.mean, self.count >= 1)
        if hasattr(layer, "moving_variance"):
            variance = self.squares / np.maximum(divisor, 1)
            _assign(layer.moving_variance, variance, divisor >= 1)


def _assign(variable: Any, values: np.ndarray, known: np.ndarray) -> None:
    old = ops.convert_to_numpy(variable)
    variable.assign(np.where(known, values, old).astype(old.dtype))


def _run(model: Any, layers: Any, batches: Any, found: dict) -> None:
    """Runs the model, and collects the moments of what `layers` are given.

    If there are several, each normalizes with the moments of the batch.
    """
    shadows = [
        # Where Keras finds it before the method of the class, and only in
        # calls that are not compiled already.
        (layer, "call", functools.partial(_watched, layer, found, len(layers)))
        for layer in layers
    ]
    with replaced(shadows):
        for batch in batches:
            model(batch, training=False)


def _watched(
    layer: Any,
    found: dict,
    watched: int,
    inputs: Any,
    training: bool | None = None,
    mask: Any = None,
) -> Any:
    values = ops.convert_to_numpy(ops.cast(inputs, "float32"))
    channels = values.shape[layer.axis]
    counts = np.ones(values.shape, bool)
    if mask is not None:
        counts = ops.convert_to_numpy(align_mask(mask, inputs, layer.axis))
    values, counts = (
        np.moveaxis(a, layer.axis, -1).reshape(-1, channels)
        for a in (values.astype("float64"), counts)
    )
    found.setdefault(layer, _Moments()).add(values, counts)
    if watched > 1:
        batch = _Moments()
        batch.add(values, counts)
        batch.give_to(layer)
    kwargs = {} if mask is None else {"mask": mask}
    return type(layer).call(layer, inputs, training=False, **kwargs)
