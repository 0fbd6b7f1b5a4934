"""An L1 penalty that makes weights exactly zero."""

from typing import Any

import keras
from keras import ops

from .._arguments import check_number
from .._state import is_bias
from .optimizer_wrapper import OptimizerWrapper


@keras.saving.register_keras_serializable(package="keras_regimen")
class ProximalL1(OptimizerWrapper):
    """Shrinks weights after each step, and sets small ones to zero.

    Use it for sparse weights, in place of `kernel_regularizer="l1"`: there the
    gradient of the penalty jumps at zero, and a weight that should be zero
    jumps from one side to the other. With plain Adam and Keras' `L1` a lasso
    ends without a single exact zero. Here the optimizer moves along the
    gradient of the loss alone, and the proximal operator of the penalty
    follows: each weight loses `learning_rate * strength` of its size and stops
    at zero.

    With `SGD` as the inner optimizer, the weights go to the minimum of
    `loss + strength * sum(|weight|)`, the one that scikit-learn's `Lasso`
    finds. Momentum is allowed for: it makes steps `1 / (1 - momentum)` times
    as long, so the weights shrink by as much more. An adaptive optimizer gives
    exact zeros too, but takes steps whose length is not that of the gradient:
    what it minimizes then is another sum, with a strength of each weight's own.

    Put it around other wrappers: zeros do not survive an average. The zeros
    come after the inner optimizer's constraints and before no average:
    `use_ema` keeps one of weights that are not shrunk yet.

    Args:
        inner_optimizer: A Keras optimizer, its name or its configuration.
        strength: Float of 0 or more, per unit of weight. 0 equals the inner
            optimizer to the bit.
        biases: Boolean. Whether biases and gains, variables of fewer than two
            axes, are penalized too. Default `False`.
        name: Optional string. The optimizer's name.
        **kwargs: None: other arguments go to the inner optimizer.

    Raises:
        ValueError: If `strength` is negative or no number, or if
            `OptimizerWrapper` refuses the inner optimizer.

    Example:

    >>> inner = keras.optimizers.SGD(1.0)
    >>> optimizer = ProximalL1(inner, strength=0.5)
    >>> kernel = keras.Variable([[3.0, 0.25]])
    >>> optimizer.apply([keras.ops.array([[1.0, 0.0]])], [kernel])
    >>> keras.ops.convert_to_numpy(kernel).tolist()
    [[1.5, 0.0]]

    Reference:

    - Daubechies, Defrise and De Mol, "An iterative thresholding algorithm for
      linear inverse problems with a sparsity constraint",
      [2004](https://arxiv.org/abs/math/0307152); Parikh and Boyd, "Proximal
      algorithms", 2014, section 4.2. They have no momentum, or another one.
    """

    def __init__(
        self,
        inner_optimizer: Any,
        strength: float,
        biases: bool = False,
        name: str | None = None,
        **kwargs,
    ):
        strength = check_number("strength", strength)
        super().__init__(inner_optimizer, name=name, **kwargs)
        self.refuse_schedule_free()
        self.strength = strength
        self.biases = biases

    def step(self, gradients, variables):
        if not self.strength:
            super().step(gradients, variables)
            return
        # The schedule's rate of this step, and not of the next.
        step_size = ops.convert_to_tensor(self.learning_rate)
        innermost = self.innermost_optimizer
        if isinstance(innermost, keras.optimizers.SGD):
            # The lasso's zeros have gradients up to `strength`. Where the
            # gradient g stays, momentum adds up to a step of
            # learning_rate * g / (1 - momentum), which must not leave zero.
            step_size = step_size / (1 - innermost.momentum)
        before = self.iterations + 0  # A copy: the variable moves.
        super().step(gradients, variables)
        # With gradient accumulation, most calls move nothing.
        moved = ops.cast(ops.not_equal(self.iterations, before), "float32")
        threshold = step_size * moved * self.strength
        for gradient, variable in zip(gradients, variables, strict=True):
            if gradient is not None and (self.biases or not is_bias(variable)):
                limit = ops.cast(threshold, variable.dtype)
                inside = ops.clip(variable, -limit, limit)
                self.assign(variable, variable - inside)

    def get_config(self):
        return {
            **super().get_config(),
            "strength": self.strength,
            "biases": self.biases,
        }
