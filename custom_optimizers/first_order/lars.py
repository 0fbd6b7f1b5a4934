"""Momentum with a learning rate for each layer."""

import math
from typing import Any

import keras
from keras import ops

from .._arguments import check_learning_rate, check_number
from .._state import add_slots, dense, is_bias
from .in_turn import in_turn


@keras.saving.register_keras_serializable(package="keras_regimen")
class LARS(keras.optimizers.Optimizer):
    """SGD with momentum whose steps are as large as each layer's weights ask.

    Use it with large batches, which need large learning rates: where a step is
    long beside the weights it moves, training diverges, and how long it is
    differs from layer to layer. LARS (layer-wise adaptive rate scaling) takes
    steps of `learning_rate * trust_coefficient` times the norm of each weight
    matrix, whatever the size of its gradient. It needs a warm-up of the
    learning rate, see `WarmUp`.

    Args:
        learning_rate: Float of 0 or more, schedule, or callable without
            arguments. Much larger than that of SGD, such as 10.
        momentum: Float in `[0, 1)`. Default 0.9.
        trust_coefficient: Positive float. How far one step may move weights,
            as a share of their norm. Default 0.001.
        weight_decay: Optional float of 0 or more. As in the paper, an L2
            penalty whose gradient is added to that of the loss, not the
            decoupled one of Keras. Default: none.
        epsilon: Float of 0 or more. Added to the gradient's norm. Default 0.
        biases: Boolean. Whether biases and gains, variables of fewer than two
            axes, have a rate of their own and decay too. If `False` (the
            default), they are moved as by SGD with momentum, without decay.
        **kwargs: Other arguments of `keras.optimizers.Optimizer`, such as
            `clipnorm` and `use_ema`.

    Raises:
        ValueError: If an argument is outside its range.

    Example:

    >>> optimizer = LARS(1.0, trust_coefficient=0.1)
    >>> kernel = keras.Variable([[3.0, 4.0]])
    >>> optimizer.apply([keras.ops.array([[0.0, 9.0]])], [kernel])
    >>> kernel.numpy().tolist()  # A step of a tenth of 5.
    [[3.0, 3.5]]

    Reference:

    - You, Gitman and Ginsburg, "Large batch training of convolutional
      networks", [2017](https://arxiv.org/abs/1708.03888), algorithm 1. Where
      weights or gradients are all zero, the rate is that of SGD. Optax has the
      norm of gradient and decay together, where the paper adds two norms.
    """

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.9,
        trust_coefficient: float = 0.001,
        weight_decay: float | None = None,
        epsilon: float = 0.0,
        biases: bool = False,
        **kwargs,
    ):
        if weight_decay is not None:
            check_number("weight_decay", weight_decay)
        learning_rate = check_learning_rate(learning_rate)
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        self.momentum = check_number("momentum", momentum, high=1)
        self.trust_coefficient = check_number(
            "trust_coefficient", trust_coefficient, open_low=True
        )
        self.epsilon = check_number("epsilon", epsilon)
        self.biases = biases

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._momentums = add_slots(self, variables, "momentum")
        # Here, because TensorFlow hands its own variables to `update_step`.
        self._adapted = [self.biases or not is_bias(v) for v in variables]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        momentum = self._momentums[index]
        gradient = in_turn(self, index, dense(gradient, momentum.dtype))
        rate = ops.cast(learning_rate, momentum.dtype)
        if self._adapted[index]:
            weight = ops.cast(variable, momentum.dtype)
            size, slope = _norm(weight), _norm(gradient)
            if self.weight_decay and self._use_weight_decay(variable):
                gradient = gradient + self.weight_decay * weight
                slope = slope + self.weight_decay * size
            ratio = self.trust_coefficient * size / (slope + self.epsilon)
            rate = rate * ops.where((size > 0) & (slope > 0), ratio, 1.0)
        m = self.momentum * ops.convert_to_tensor(momentum) + rate * gradient
        self.assign(momentum, m)
        self.assign_sub(variable, m)

    def _apply_weight_decay(self, variables):
        """Does nothing: `update_step` decays. Keras has no public switch."""

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "trust_coefficient": self.trust_coefficient,
            "epsilon": self.epsilon,
            "biases": self.biases,
        }


def _norm(tensor):
    # A norm of norms, the first of few numbers each: XLA splits a sum of more
    # than 32 terms, and writes out all the squares before. The roots in between
    # keep it from making one sum of the two.
    size = math.prod(tensor.shape)
    terms = max(n for n in range(1, 33) if size % n == 0)
    tensor = ops.reshape(tensor, (terms, -1))
    for axis in (0, None):
        tensor = ops.sqrt(ops.sum(ops.square(tensor), axis))
    return tensor
