"""Attach a penalty to all kernels of a model."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras.src.saving.serialization_lib import ObjectSharingScope

from ..custom_layers.reparameterization.kernel_wrapper import (
    find_kernels,
    replaced,
)
from .penalties.kl_sparsity import KLSparsity
from .penalties.penalty import Penalty

# By the role that a weight has in its layer: its name, and the arguments
# through which layers take a penalty for it.
_KERNELS = {
    "kernel": ("kernel_regularizer", "depthwise_regularizer"),
    "recurrent_kernel": ("recurrent_regularizer",),
    "depthwise_kernel": ("depthwise_regularizer",),
    "pointwise_kernel": ("pointwise_regularizer",),
    "embeddings": ("embeddings_regularizer",),
}
_BIASES = {"bias": ("bias_regularizer",)}


def regularize(
    model: keras.Model,
    penalty: Callable[[Any], Any],
    biases: bool = False,
) -> keras.Model:
    """Returns a copy of a model with a penalty on its kernels.

    Use it on a model that is there already, a pretrained one above all,
    instead of writing `kernel_regularizer=` into each layer. Kernels are what
    layers hold under the names `kernel`, `recurrent_kernel`,
    `depthwise_kernel`, `pointwise_kernel` and `embeddings`, however deep:
    in wrapped layers, RNN cells, nested models. Biases and the parameters of
    normalization have other roles and stay free.

    The copy has the same layers, names and weights; the model itself stays as
    it is. The copy is not compiled. The penalty stands in its configuration,
    so it is saved and loaded with it. A penalty that a kernel has already is
    replaced.

    `L2SP()` gets each kernel's present value as its reference, and
    `GroupLasso` and `Orthogonal` the axes that are right for the layer, if
    they name none. `SoftWeightSharing` becomes one mixture for all kernels.

    Args:
        model: A built model, whose layers can be made from their
            configurations: functional, sequential, or with a `get_config`
            and `from_config` of its own.
        penalty: A regularizer of weights, ours or Keras', that can be
            serialized.
        biases: Boolean. Whether biases get the penalty too. Default `False`.

    Returns:
        A new model of the same class.

    Raises:
        ValueError: If `model` is not built, has no kernels, or one that could
            not keep the penalty when it is saved; or if `penalty` is not a
            regularizer of weights.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((3,)),
    ...     keras.layers.Dense(4),
    ...     keras.layers.BatchNormalization(),
    ...     keras.layers.Dense(1),
    ... ])
    >>> penalized = regularize(model, keras.regularizers.L2(0.01))
    >>> [w.name for w in penalized.trainable_weights if w.regularizer]
    ['kernel', 'kernel']
    >>> len(model.losses), len(penalized.losses)
    (0, 2)
    """
    _refuse_unless_of_weights(penalty)
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(
            "`model` must be a built model: call it on data first. "
            f"Received: model={model}"
        )
    roles = {**_KERNELS, **_BIASES} if biases else _KERNELS
    # What layers hold of their arguments is what they write into their
    # configurations. It is changed for as long as that takes.
    with ObjectSharingScope(), replaced(_attributes(model, penalty, roles)):
        config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    # Keras' public interface shares objects within whole saved models only.
    with ObjectSharingScope():
        penalized = keras.saving.deserialize_keras_object(config)
    _refuse_if_lost(model, penalized, penalty, roles)
    _copy_weights(model, penalized)
    return penalized


def _refuse_unless_of_weights(penalty):
    if not callable(penalty) or isinstance(penalty, type | KLSparsity):
        raise ValueError(
            "`penalty` must be a regularizer of weights, such as "
            "GroupLasso(0.01). (A penalty on activations is a layer's "
            f"`activity_regularizer`.) Received: penalty={penalty}"
        )


def _attributes(
    model: keras.Model, penalty: Any, roles: dict[str, tuple[str, ...]]
) -> Iterator[tuple[keras.layers.Layer, str, Any]]:
    """Yields layer, attribute and the penalty that goes there."""
    arguments = {name for names in roles.values() for name in names}
    # First all that take the argument: some hold it for a layer within.
    # (`hasattr`: not in `vars` is what PyTorch keeps as a module.)
    for layer in model._flatten_layers():
        for name in sorted(arguments):
            for attribute in (name, f"_{name}"):
                if hasattr(layer, attribute):
                    yield layer, attribute, penalty
    if not isinstance(penalty, Penalty):
        return
    for kernel in find_kernels(model, roles):
        fitted = penalty.fitted_to(
            keras.ops.convert_to_numpy(kernel.value), _axes(kernel)
        )
        for attribute in roles[kernel.name]:
            if hasattr(kernel.owner, attribute):
                yield kernel.owner, attribute, fitted


def _axes(kernel):
    if kernel.name == "embeddings":
        return (1,)
    if kernel.name == "bias":
        return (0,)
    return kernel.fan_in_axes


def _refuse_if_lost(model, penalized, penalty, roles):
    kernels = find_kernels(penalized, roles)
    if not kernels or len(kernels) != len(find_kernels(model, roles)):
        raise ValueError(
            "`model` must have kernels, and its configuration all its "
            f"layers. Received: model={model}"
        )
    for kernel in kernels:
        if type(kernel.content.regularizer) is not type(penalty):
            raise ValueError(
                "The penalty would be lost when the model is saved: the "
                f"layer of the weight '{kernel.content.path}' takes no "
                f"{' or '.join(roles[kernel.name])}, or has it not in its "
                "`get_config`."
            )
        # Several kernels behind one argument can't have a reference each.
        if getattr(kernel.content.regularizer, "reference", 0) is None:
            raise ValueError(
                f"The weight '{kernel.content.path}' can't have a reference of "
                "its own: its layer has one argument for several kernels. "
                f"Received: penalty={kernel.content.regularizer}"
            )


def _copy_weights(model, penalized):
    pairs = zip(_own_weights(penalized), _own_weights(model), strict=True)
    for target, source in pairs:
        # By NumPy: on JAX an assigned variable shares its buffer, which
        # training gives away.
        target.assign(keras.ops.convert_to_numpy(source))


def _own_weights(model):
    """Returns the weights of a model without those of its penalties."""
    others = {
        id(weight)
        for layer in model._flatten_layers()
        if isinstance(layer, keras.Regularizer)
        for weight in layer.weights
    }
    return [weight for weight in model.weights if id(weight) not in others]
