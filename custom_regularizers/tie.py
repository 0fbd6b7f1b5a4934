"""Soft tying: the kernels of two layers are drawn to each other."""

from typing import Any

import keras
from keras import ops

from .penalties.penalty import Penalty


def tie(
    layer_a: keras.layers.Layer,
    layer_b: keras.layers.Layer,
    strength: float = 0.01,
) -> None:
    """Adds a penalty on the distance between the kernels of two layers.

    Use it where two layers should do nearly the same, but not quite: the
    towers of related tasks, the same layer of a model for the old data and
    one for the new. `strength * sum((kernel_a - kernel_b)**2)` is added to
    the losses of each model that holds `layer_a`, and its gradient draws both
    kernels together. For kernels that are the same, call the same layer
    twice, or see `TiedDense`.

    It is called once, before the model is trained or compiled, and changes
    `layer_a` in place: the penalty is kept as its `kernel_regularizer`, along
    with the one that it has already. Both layers should stand in one model;
    then the tie survives `save` and `load_model`. In a model that is loaded
    without `layer_b`, or made by `keras.models.clone_model`, there is nobody
    to be tied to, and training says so: tie the layers of the new model.
    While `layer_a` is frozen (`trainable = False`), Keras leaves the penalty
    out; to freeze one of the two, let it be `layer_b`.

    Args:
        layer_a: A layer with a `kernel` and a `kernel_regularizer`, such as
            `Dense` or a convolution (not depthwise, whose argument has
            another name). It may be built or not.
        layer_b: Another such layer, whose kernel has the same shape.
        strength: Float, 0 or more. Default 0.01.

    Raises:
        ValueError: If a layer is of another kind, the two are one or tied
            already, kernels differ in shape, `strength` is negative, or
            `layer_a` has a penalty that is trained.

    Example:

    >>> first = keras.layers.Dense(1, kernel_initializer="zeros")
    >>> second = keras.layers.Dense(1, kernel_initializer="ones")
    >>> tie(first, second, strength=2.0)
    >>> model = keras.Sequential([keras.Input((1,)), first, second])
    >>> [float(loss) for loss in model.losses]
    [2.0]

    Reference:

    - Nowlan and Hinton, "Simplifying Neural Networks by Soft Weight-Sharing",
      Neural Computation 4, 1992; Lasserre, Bishop and Minka, "Principled
      hybrids of generative and discriminative models", CVPR 2006.
    """
    for name, layer in (("layer_a", layer_a), ("layer_b", layer_b)):
        if not (
            isinstance(layer, keras.layers.Layer)
            and hasattr(layer, "kernel_regularizer")
            and not hasattr(layer, "cell")
            and not hasattr(layer, "state_size")
        ):
            raise ValueError(
                f"`{name}` must be a layer with a `kernel` and a "
                "`kernel_regularizer`, such as Dense or a convolution. "
                f"Received: {name}={layer}"
            )
    if layer_a is layer_b or _is_tied(layer_b, layer_a):
        raise ValueError(
            "`layer_a` and `layer_b` must be two layers that are not tied "
            f"yet. Received: layer_a={layer_a}, layer_b={layer_b}"
        )
    if isinstance(layer_a.kernel_regularizer, keras.layers.Layer):
        # It would no longer be the layer's own, and so not be trained.
        raise ValueError(
            "`layer_a` must not have a penalty that is trained, such as "
            "SoftWeightSharing; it may be `layer_b`. "
            f"Received: layer_a={layer_a}"
        )
    penalty = KernelTie(layer_b, strength, layer_a.kernel_regularizer)
    if layer_a.built:
        if layer_b.built:
            penalty(layer_a.kernel)  # Compares the shapes.
        layer_a.kernel.regularizer = penalty
    layer_a.kernel_regularizer = penalty


@keras.saving.register_keras_serializable(package="keras_regimen")
class KernelTie(Penalty):
    """Penalty on the distance from another layer's kernel.

    `tie` makes it; it is of no use alone.

    Args:
        layer: The other layer.
        strength: Float, 0 or more.
        regularizer: A regularizer whose penalty is added, or `None`.

    Raises:
        ValueError: If `strength` is negative or not finite.

    Example:

    >>> dense = keras.layers.Dense(1, kernel_initializer="ones")
    >>> dense.build((None, 2))
    >>> float(KernelTie(dense, 1.0)(np.array([[1.0], [3.0]])))
    4.0
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        strength: float = 0.01,
        regularizer: Any = None,
    ):
        super().__init__(strength)
        self.layer = layer
        self.regularizer = keras.regularizers.get(regularizer)

    def __call__(self, x):
        loss = super().__call__(x)
        return loss if self.regularizer is None else loss + self.regularizer(x)

    def measure(self, weights):
        if not self.layer.built:
            raise ValueError(
                f"The layer '{self.layer.name}' that a kernel is tied to is "
                "not built. If it stands in the model and the model was "
                "cloned, or in another model that was not loaded with this "
                "one, the tie is lost: call `tie` on the new layers."
            )
        kernel = self.layer.kernel
        if tuple(kernel.shape) != tuple(weights.shape):
            raise ValueError(
                "The kernels of `layer_a` and `layer_b` must have the same "
                f"shape. Received: {tuple(weights.shape)} and "
                f"{tuple(kernel.shape)}"
            )
        other = ops.cast(kernel, weights.dtype)
        return ops.sum(ops.square(weights - other))

    def get_config(self):
        # Keras marks what occurs twice, but this occurrence only if it is the
        # second; the mark is what makes the loaded layers one.
        layer = keras.saving.serialize_keras_object(self.layer)
        # Not built, a copy that nobody else knows can be told from it.
        layer.pop("build_config", None)
        return {
            **super().get_config(),
            "layer": {**layer, "shared_object_id": id(self.layer)},
            "regularizer": keras.regularizers.serialize(self.regularizer),
        }

    @classmethod
    def from_config(cls, config):
        """Creates the penalty from what `get_config` returned.

        Args:
            config: Dictionary.

        Returns:
            A penalty, tied to the layer of that mark in the model that is
            being loaded.
        """
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})


def _is_tied(layer, other):
    """Says if following the ties of `layer` leads to `other`."""
    penalty = layer.kernel_regularizer
    while isinstance(penalty, KernelTie):
        if penalty.layer is other or _is_tied(penalty.layer, other):
            return True
        penalty = penalty.regularizer
    return False
