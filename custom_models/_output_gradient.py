"""What the loss says about each sample, from the model's outputs alone."""

from typing import Any

import keras
from keras import ops, tree

from ._surgery import is_graph
from .training_step import gradient_by_inputs


def gradient_lengths(
    model: Any, x: Any, y: Any, sample_weight: Any, y_pred: Any
) -> Any:
    """Returns the length of each sample's gradient, up to a common factor.

    That by the last pre-activations: the bound of Katharopoulos and Fleuret,
    up to a factor that all samples share.

    Args:
        model: A training method, compiled.
        x: Inputs.
        y: Targets.
        sample_weight: Weights, or `None`.
        y_pred: The model's outputs.

    Returns:
        Tensor of shape `(samples,)`.
    """
    outputs = [ops.stop_gradient(p) for p in tree.flatten(y_pred)]
    outputs = [ops.cast(p, "float32") for p in outputs]
    activations = _last_activations(model.model, len(outputs))
    for i, activation in enumerate(activations):
        if activation in (keras.activations.softmax, keras.activations.sigmoid):
            # Losses clip probabilities and have no gradient beyond, just
            # where it is largest.
            margin = 2 * keras.config.epsilon()
            outputs[i] = ops.clip(outputs[i], margin, 1 - margin)
    squares: Any = 0.0
    for i, activation in enumerate(activations):

        def loss(output, i=i):
            replaced = [*outputs[:i], output, *outputs[i + 1 :]]
            return _loss(model, x, y, sample_weight, y_pred, replaced)

        gradient = gradient_by_inputs(loss, outputs[i])
        gradient = _through(activation, outputs[i], gradient)
        axes = tuple(range(1, len(gradient.shape)))
        squares = squares + ops.sum(gradient * gradient, axis=axes)
    return ops.sqrt(squares)


def sample_losses(
    model: Any, x: Any, y: Any, sample_weight: Any, y_pred: Any
) -> Any:
    """Returns each sample's loss, up to a factor that all share.

    It is the derivative by the sample's weight, whatever the loss is.

    Args:
        model: A training method, compiled.
        x: Inputs.
        y: Targets.
        sample_weight: Weights, or `None`.
        y_pred: The model's outputs.

    Returns:
        Tensor of shape `(samples,)`.
    """
    outputs = [ops.stop_gradient(p) for p in tree.flatten(y_pred)]

    def loss(weights):
        weighted = weigh(sample_weight, weights)
        return _loss(model, x, y, weighted, y_pred, outputs)

    samples = ops.shape(outputs[0])[0]
    return gradient_by_inputs(loss, ops.ones((samples,)))


def weigh(sample_weight: Any, weights: Any) -> Any:
    """Returns the samples' weights, multiplied by further ones.

    Args:
        sample_weight: Tensor or a structure of them, or `None`.
        weights: Tensor of shape `(samples,)`.

    Returns:
        Structure of tensors.
    """
    if sample_weight is None:
        return weights
    return tree.map_structure(
        lambda a: (
            ops.cast(a, "float32")
            * ops.reshape(weights, (-1, *[1] * (len(a.shape) - 1)))
        ),
        sample_weight,
    )


def _loss(model, x, y, sample_weight, y_pred, outputs):
    return model.compute_loss(
        x=x,
        y=y,
        y_pred=tree.pack_sequence_as(y_pred, outputs),
        sample_weight=sample_weight,
        training=False,
    )


def _last_activations(model, count):
    """The functions that the outputs come out of, where they are known."""
    if not (is_graph(model) and model.built):
        return [None] * count
    return [_last_activation(output) for output in tree.flatten(model.outputs)]


def _last_activation(output):
    # Private: no public name says which operation a tensor comes from.
    operation = output._keras_history.operation
    if is_graph(operation):
        place = output._keras_history.tensor_index
        return _last_activation(tree.flatten(operation.outputs)[place])
    if isinstance(operation, keras.layers.Softmax):
        return keras.activations.softmax
    return getattr(operation, "activation", None)


def _through(activation, output, gradient):
    """The gradient by what the activation was applied to."""
    if activation is keras.activations.softmax:
        inner = ops.sum(gradient * output, axis=-1, keepdims=True)
        return output * (gradient - inner)
    if activation is keras.activations.sigmoid:
        return gradient * output * (1 - output)
    return gradient
