"""A layer as a scalar function of its weights and inputs."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops


def loss_of_layer(
    layer: keras.layers.Layer,
    inputs: Any,
    targets: Any,
    variables: list[Any] | None,
    training: bool,
    rng: np.random.Generator,
) -> tuple[Callable, list[Any], dict[int, str]]:
    """Returns a layer's loss, its variables, and names for its inputs."""
    held: dict[int, str] = {}
    if not layer.built:
        layer(inputs)

    def hold(array):
        tensor = ops.convert_to_tensor(array)
        if "float" not in keras.backend.standardize_dtype(tensor.dtype):
            return tensor
        variable = keras.Variable(tensor, dtype=layer.variable_dtype)
        held[id(variable)] = f"inputs[{len(held)}]" if held else "inputs"
        return variable

    def call():
        read = keras.tree.map_structure(ops.convert_to_tensor, inputs)
        if "training" in layer.call_signature_parameters:
            return layer(read, training=training)
        return layer(read)

    inputs = keras.tree.map_structure(hold, inputs)
    if variables is None:
        of_inputs = [v for v in keras.tree.flatten(inputs) if id(v) in held]
        variables = [*layer.trainable_variables, *of_inputs]
    # Not the sum of outputs: of softmax it would be constant.
    with keras.StatelessScope():
        weights = keras.tree.map_structure(
            lambda output: ops.convert_to_tensor(
                rng.normal(size=tuple(output.shape)), output.dtype
            ),
            call(),
        )

    def loss():
        outputs = call()
        if targets is not None:
            return layer.compute_loss(inputs, targets, outputs)
        products = keras.tree.map_structure(
            lambda output, weight: ops.sum(output * weight), outputs, weights
        )
        return sum(keras.tree.flatten(products)) + sum(layer.losses)

    return loss, variables, held
