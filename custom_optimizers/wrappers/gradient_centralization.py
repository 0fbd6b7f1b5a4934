"""Gradients without their mean."""

from typing import Any

import keras
from keras import ops

from .._state import dense, is_bias
from .optimizer_wrapper import OptimizerWrapper


@keras.saving.register_keras_serializable(package="keras_regimen")
class GradientCentralization(OptimizerWrapper):
    """Subtracts from each unit's gradient its mean.

    Use it with any optimizer of convolutional and dense networks: the sum of
    a unit's weights then stays what it was, which takes a direction out of the
    search and works as a regularizer. A unit is what one output is computed
    from, a column of a `Dense` kernel or a filter of a convolution: all axes
    but the last are averaged over.

    Biases, gains and embeddings are left alone. Depthwise and transposed
    convolutions have other axes: give them a plain optimizer in a
    `keras.optimizers.MultiOptimizer`.

    Args:
        inner_optimizer: A Keras optimizer, its name or its configuration. Its
            weight decay comes after and is not centralized; a regularizer's
            gradient is part of the loss' and is.
        name: Optional string. The optimizer's name.
        **kwargs: None: other arguments go to the inner optimizer.

    Raises:
        ValueError: If `OptimizerWrapper` refuses the inner optimizer.

    Example:

    >>> optimizer = GradientCentralization(keras.optimizers.SGD(1.0))
    >>> kernel = keras.Variable([[3.0, 0.0], [4.0, 0.0]])
    >>> gradient = keras.ops.array([[2.0, 1.0], [0.0, 1.0]])
    >>> optimizer.apply([gradient], [kernel])
    >>> kernel.numpy().tolist()
    [[2.0, 0.0], [5.0, 0.0]]

    Reference:

    - Yong, Huang, Hua and Zhang, "Gradient centralization: a new optimization
      technique for deep neural networks",
      [2020](https://arxiv.org/abs/2004.01461), equation 1.
    """

    def __init__(self, inner_optimizer: Any, name: str | None = None, **kwargs):
        super().__init__(inner_optimizer, name=name, **kwargs)

    def step(self, gradients, variables):
        gradients = [
            g if g is None else self._centralized(g, v)
            for g, v in zip(gradients, variables, strict=True)
        ]
        super().step(gradients, variables)

    def _centralized(self, gradient, variable):
        if is_bias(variable) or "embedding" in variable.name:
            return gradient
        gradient = dense(gradient)
        axes = tuple(range(len(variable.shape) - 1))
        return gradient - ops.mean(gradient, axes, keepdims=True)
