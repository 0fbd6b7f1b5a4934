"""One more layer that does nothing yet."""

from typing import Any

import keras
import numpy as np
from keras import ops

from ._graph import Graph
from ._growth import Growth, compile_with_state, numbers
from ._surgery import Surgery, rebuilt
from .kernel_mask import KernelMask
from .reestimate_batch_normalization import reestimate_in_place

_KINDS = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
)
_ACTIVATIONS = (
    keras.layers.Activation,
    keras.layers.ELU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.Softmax,
)


def deepen(
    model: keras.Model,
    layer_name: str,
    x: Any = None,
    optimizer: keras.optimizers.Optimizer | None = None,
) -> keras.Model:
    """Returns a new model with one layer more, and the same function.

    Use it to go on with a deeper net from what a shallower one has learned.
    Behind a dense or convolutional layer comes another of the same width and
    settings, whose kernel is the identity. If the layer's own activation is
    linear, and batch normalization or an activation layer follow, the new one
    stands behind these and is followed by such, too. It must be an activation
    that leaves alone what has passed it once, as ReLU does.

    New batch normalization undoes itself. To do so in training, too, it must
    know the mean and the variance of what it gets: give some data as `x`.
    Without, it begins with mean 0 and variance 1, which preserves the
    function at inference alone.

    The new layers are called like those they follow, with `_deeper` behind.

    Args:
        model: A built functional or sequential model. It is left as it is.
        layer_name: String. The name of a `Dense` layer or a convolution, which
            the model calls once.
        x: Optional inputs, as for `reestimate_batch_normalization`, from which
            new batch normalization takes its statistics.
        optimizer: Optional. `model.optimizer`, whose state is carried over: the
            new model comes compiled as `model` is, with an optimizer of the
            same settings, step and learning rate. What it keeps for the new
            layer begins at zero. (Adam's correction for such a beginning
            counts the steps of all, so its first steps are up to three times
            as long there.) Default `None`: the new model is not compiled.

    Returns:
        A new `keras.Model` of the same class and name.

    Raises:
        ValueError: If `model` is subclassed or not built; `layer_name` names no
            such layer; its activation is not idempotent; or batch
            normalization behind it has no `center` or no `scale`.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((3,)),
    ...     keras.layers.Dense(4, "relu", name="hidden"),
    ...     keras.layers.Dense(2, name="head"),
    ... ])
    >>> deep = deepen(model, "hidden")
    >>> [layer.name for layer in deep.layers]
    ['hidden', 'hidden_deeper', 'head']
    >>> x = keras.ops.ones((1, 3))
    >>> bool(keras.ops.max(keras.ops.abs(deep(x) - model(x))) < 1e-5)
    True

    Reference:

    - Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via
      Knowledge Transfer", [2015](https://arxiv.org/abs/1511.05641), section
      2.4. Maxout, which the paper can deepen as well, cannot be here.
    """
    graph = Graph(model)
    layer = graph.layer(layer_name, _KINDS, "a dense or convolutional")
    block = _block(graph, layer)
    _refuse_unless_idempotent(block)
    added = [_another(old, graph) for old in block]
    surgery = Surgery({}, after={block[-1]: added})
    new = rebuilt(model, surgery)
    _make_identity(added[0])
    for norm in added[1:]:
        if isinstance(norm, keras.layers.BatchNormalization):
            if x is not None:
                reestimate_in_place(new, x, layers=[norm])
            variance = numbers(norm.moving_variance)
            norm.gamma.assign(np.sqrt(variance + norm.epsilon))
            norm.beta.assign(numbers(norm.moving_mean))
    if optimizer is not None:
        growths = {
            id(target): Growth(source)
            for old, copy in surgery.kept
            for source, target in zip(old.weights, copy.weights, strict=True)
        }
        compile_with_state(model, new, optimizer, growths)
    return new


def _block(graph: Graph, layer: Any) -> list[Any]:
    """Returns the layer, its batch normalization and its activation layer."""
    block = [layer]
    if layer.activation is not keras.activations.linear:
        return block
    for kinds in ((keras.layers.BatchNormalization,), _ACTIVATIONS):
        takers = graph.takers(block[-1].name)
        following = graph.operations[takers[0]] if len(takers) == 1 else None
        if (
            isinstance(following, kinds)
            and graph.calls[takers[0]] == [[block[-1].name]]
            and block[-1].name not in graph.outputs
        ):
            block.append(following)
    return block


def _refuse_unless_idempotent(block: list[Any]) -> None:
    layer, last = block[0], block[-1]
    activation: Any = last if isinstance(last, _ACTIVATIONS) else None
    if len(block) == 1:
        activation = layer.activation
    if activation is not None:
        sizes = [2, *(size or 4 for size in layer.output.shape[1:])]
        values = 3 * np.random.default_rng(0).normal(size=sizes)
        once = activation(ops.convert_to_tensor(values, "float32"))
        twice = activation(once)
        if not np.allclose(numbers(once), numbers(twice), atol=1e-6):
            name = getattr(activation, "name", None) or getattr(
                activation, "__name__", activation
            )
            raise ValueError(
                "The activation behind a deepened layer must leave alone what "
                "has passed it once, as ReLU and a linear one do: another "
                f"layer with '{name}' would change the function. "
                f"Received: layer_name='{layer.name}', activation {name}"
            )
    for norm in block:
        if isinstance(norm, keras.layers.BatchNormalization) and not (
            norm.center and norm.scale
        ):
            raise ValueError(
                f"Batch normalization such as '{norm.name}' can undo itself "
                "only with `center` and `scale`. "
                f"Received: center={norm.center}, scale={norm.scale}"
            )


def _another(old: Any, graph: Graph) -> Any:
    """Returns an unbuilt layer like an old one, that keeps the shape."""
    config = old.get_config()
    name = f"{old.name}_deeper"
    number = 1
    while name in graph.operations:
        number += 1
        name = f"{old.name}_deeper_{number}"
    config["name"] = name
    if isinstance(old, _KINDS):
        if isinstance(old.kernel_constraint, KernelMask):
            config["kernel_constraint"] = None
        if not isinstance(old, keras.layers.Dense):
            causal = config["padding"] == "causal"
            config |= {
                "strides": 1,
                "dilation_rate": 1,
                "groups": 1,
                "padding": "causal" if causal else "same",
            }
    return type(old).from_config(config)


def _make_identity(layer: Any) -> None:
    kernel = np.zeros(layer.kernel.shape, "float32")
    # Padding puts the place itself here; causal padding, at the end.
    causal = getattr(layer, "padding", None) == "causal"
    center = tuple(
        size - 1 if causal else (size - 1) // 2 for size in kernel.shape[:-2]
    )
    kernel[center] = np.eye(kernel.shape[-1])
    layer.kernel.assign(kernel)
    if layer.use_bias:
        layer.bias.assign(np.zeros(layer.bias.shape))
