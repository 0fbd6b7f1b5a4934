"""Supervised pretraining of a deep model, one layer after the other."""

from collections.abc import Callable
from typing import Any

import keras

from ._surgery import copied


def pretrain_greedily(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    freeze: bool = True,
    head: Callable[[], keras.layers.Layer] | None = None,
    fit: Callable[..., Any] = keras.Model.fit,
    **arguments: Any,
) -> keras.Model:
    """Returns a new model whose hidden layers were trained one by one.

    Use it for deep chains that don't learn from random weights, such as many
    layers of sigmoid units; what trains well without it, as rectified units
    with batch normalization do, has little to gain. Fine-tune the result as a
    whole: compile and fit it.

    There is a stage for each layer that has a trainable weight of two or more
    axes (Dense, convolutional, recurrent, embedding; a nested model as a
    whole), but for the last such layer, with which the head of the model
    begins. Layers between two of them (normalization, activation, dropout,
    pooling) belong to the stage of the one before. A stage trains its layers
    under a temporary head, on what the stages before it hand on; these run in
    inference mode and stay as they are. The last stage has the model's own
    head in place of a temporary one, unless `head` is given.

    Each stage is compiled with the loss of the model and a new optimizer of
    the same settings, so that a learning-rate schedule starts again. The model
    given is left alone; the new one has weights of its own, and is not
    compiled, since an optimizer's state would not fit.

    Args:
        model: A compiled sequential or functional model whose layers form a
            chain, with two or more stages' layers, built.
        x: Training inputs, as `fit` takes them.
        y: Training targets.
        freeze: Boolean. Whether the layers of earlier stages stay as they are.
            With `False` all layers below a head are trained. Defaults to
            `True`.
        head: Optional function that returns a new layer or model, the
            temporary head. By default copies of the last layers with new
            initial weights, behind a `Flatten` where they take vectors and a
            stage hands on something else.
        fit: Function `(model, x, y, **arguments)` that trains a stage, such as
            `fit_in_memory`. Defaults to `keras.Model.fit`.
        **arguments: Passed to `fit`: `epochs` of each stage, `batch_size`,
            `sample_weight`, and so on.

    Returns:
        A new `keras.Model` of the same class and name, not compiled.

    Raises:
        ValueError: If `model` is no chain, not compiled or not built, or has
            no layer before its head; or another argument is not as said above.

    Example:

    >>> model = keras.Sequential(
    ...     [
    ...         keras.Input((3,)),
    ...         keras.layers.Dense(4, activation="sigmoid"),
    ...         keras.layers.Dense(4, activation="sigmoid"),
    ...         keras.layers.Dense(1),
    ...     ]
    ... )
    >>> model.compile("adam", "mse")
    >>> x, y = keras.ops.ones((8, 3)), keras.ops.ones((8, 1))
    >>> new = pretrain_greedily(model, x, y, epochs=2, verbose=0)
    >>> new.compile("adam", "mse")
    >>> history = new.fit(x, y, epochs=2, verbose=0)

    Reference:

    - Bengio, Lamblin, Popovici and Larochelle, 2007, "Greedy layer-wise
      training of deep networks", NIPS 19, section 4: each layer as the hidden
      layer of a supervised net. Their output layer starts anew for the
      fine-tuning; ours is that of the last stage.
    """
    _check(model, freeze, head, fit)
    new = copied(model)
    firsts = [
        place
        for place, layer in enumerate(_chain(new))
        if any(len(weight.shape) > 1 for weight in layer.trainable_weights)
    ]
    if len(firsts) < 2:
        raise ValueError(
            "`model` must have two layers or more with a trainable weight of "
            "two axes, the last of which begins its head. "
            f"Received: {len(firsts)} in model={model}"
        )
    # What stands before the first of them, such as a rescaling, is its own.
    for first, end in zip([0, *firsts[1:-1]], firsts[1:], strict=True):
        # A copy: layers that are called anew would remember it.
        working = copied(new)
        layers = _chain(working)
        inputs = hidden = keras.Input(
            batch_shape=working.inputs[0].shape, dtype=working.inputs[0].dtype
        )
        if freeze and first:
            hidden = _Frozen(keras.Sequential(layers[:first]))(inputs)
        readout = _readout(layers, end, firsts[-1], head)
        active = layers[first if freeze else 0 : end]
        stage = keras.Model(inputs, _called([*active, *readout], hidden))
        stage.compile(
            type(model.optimizer).from_config(model.optimizer.get_config()),
            model.loss,
            run_eagerly=model.run_eagerly,
            jit_compile=model.jit_compile,
        )
        fit(stage, x, y, **arguments)
        new.set_weights(working.get_weights())
    return new


class _Frozen(keras.layers.Layer):
    """Earlier stages, at inference while the stage above them trains.

    A layer, because a functional model gives its own `training` to each layer
    that takes one, whatever it was called with.
    """

    def __init__(self, before: keras.Sequential):
        super().__init__()
        before.trainable = False
        self.before = before
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return self.before(inputs, training=False)


def _check(model: Any, freeze: Any, head: Any, fit: Any) -> None:
    if not isinstance(freeze, bool):
        raise ValueError(
            f"`freeze` must be a boolean. Received: freeze={freeze!r}"
        )
    if not (head is None or callable(head)) or isinstance(
        head, keras.layers.Layer
    ):
        raise ValueError(
            "`head` must be a function that returns a new layer, or `None`. "
            f"Received: head={head}"
        )
    if not callable(fit):
        raise ValueError(f"`fit` must be a function. Received: fit={fit}")
    if not getattr(model, "compiled", False) or model.optimizer is None:
        raise ValueError(
            "`model` must be compiled with the optimizer and the loss of the "
            f"stages. Received: model={model}"
        )
    if not model.built:
        raise ValueError(
            "`model` must be built: begin it with a `keras.Input`. "
            f"Received: model={model}"
        )


def _chain(model: Any) -> list[keras.layers.Layer]:
    """Returns the layers of a model from first to last, without the input."""
    if isinstance(model, keras.Sequential):
        return list(model.layers)
    source, *layers = model.layers
    tensor = source.output
    for layer in layers:
        # Private: the `input` of a nested model is one of its own.
        nodes = layer._inbound_nodes
        taken = [
            id(leaf)
            for node in nodes
            for leaf in keras.tree.flatten(_without_mask(node.arguments))
            if isinstance(leaf, keras.KerasTensor)
        ]
        if taken != [id(tensor)]:
            break
        (tensor,) = nodes[0].output_tensors
    if len(model.inputs) > 1 or model.output is not tensor:
        raise ValueError(
            "`model` must be a chain, in which each layer takes the output of "
            "the one before, and that alone; a block with branches can be "
            f"made one layer, as a model of its own. Received: model={model}"
        )
    return layers


def _without_mask(arguments: Any) -> Any:
    named = {k: v for k, v in arguments.kwargs.items() if k != "mask"}
    return arguments.args, named


def _readout(
    layers: list[keras.layers.Layer], end: int, last: int, head: Any
) -> list[keras.layers.Layer]:
    """Returns what stands above a stage whose layers end there."""
    if head is not None:
        return [head()]
    if end == last:
        return layers[last:]
    copies = [type(x).from_config(x.get_config()) for x in layers[last:]]
    # Of a mask, too, if there is one.
    takes, gets = (
        len(keras.tree.flatten(layers[place].input)[0].shape)
        for place in (last, end)
    )
    return [keras.layers.Flatten(), *copies] if takes == 2 < gets else copies


def _called(layers: list[keras.layers.Layer], tensor: Any) -> Any:
    for layer in layers:
        tensor = layer(tensor)
    return tensor
