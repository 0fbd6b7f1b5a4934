"""Adam without its noisy start."""

import math
from typing import Any

import keras
from keras import ops

from .._arguments import check_learning_rate, check_number
from .._state import add_slots, dense
from .add_decaying import add_decaying
from .bias_correction import bias_correction
from .in_turn import in_turn
from .once_per_step import OncePerStep

HUGE = 2.0**80  # A power of 2: to multiply and divide by it rounds nothing.


@keras.saving.register_keras_serializable(package="keras_regimen")
class RectifiedAdam(OncePerStep, keras.optimizers.Optimizer):
    """Adam that waits until its second moment can be trusted (RAdam).

    Use it where Adam needs a warm-up of the learning rate: in the first steps
    Adam divides by the root of an average over few squared gradients, which
    varies wildly. `RectifiedAdam` steps along the momentum alone while that
    average has too few terms (five steps, with the default `beta_2`), and then
    lets the adaptive step in, by as much as its variance allows. Later it is
    Adam.

    Args:
        learning_rate: Float of 0 or more, schedule, or callable without
            arguments. Default 0.001.
        beta_1: Float in `[0, 1)`. The decay of the momentum. Default 0.9.
        beta_2: Float in `(0, 1)`. The decay of the second moment. Up to 2/3 it
            is an average over too few gradients for ever, and the optimizer is
            SGD with momentum. Default 0.999.
        epsilon: Float of 0 or more. Added to the root of the second moment,
            before its bias is corrected. Default 1e-7, as in Keras' Adam;
            PyTorch has 1e-8.
        **kwargs: Arguments of `keras.optimizers.Optimizer`, such as
            `weight_decay` (decoupled, as in AdamW), `clipnorm` and `use_ema`.

    Raises:
        ValueError: If an argument is outside its range.

    Example:

    >>> optimizer = RectifiedAdam(0.1)
    >>> weight = keras.Variable(3.0)
    >>> for _ in range(2):
    ...     optimizer.apply([keras.ops.array(10.0)], [weight])
    >>> round(float(weight), 2)
    1.0

    Reference:

    - Liu, Jiang, He, Chen, Liu, Gao and Han, "On the variance of the adaptive
      learning rate and beyond", [2019](https://arxiv.org/abs/1908.03265). As
      in PyTorch, averages must be longer than 5 steps, the paper says 4.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs,
    ):
        super().__init__(check_learning_rate(learning_rate), **kwargs)
        self.beta_1 = check_number("beta_1", beta_1, high=1)
        self.beta_2 = check_number("beta_2", beta_2, high=1, open_low=True)
        self.epsilon = check_number("epsilon", epsilon)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._momentums = add_slots(self, variables, "momentum")
        self._velocities = add_slots(self, variables, "velocity")

    def scalars(self, learning_rate, dtype):
        step = ops.cast(self.iterations + 1, dtype)
        correction_1 = bias_correction(self.beta_1, step)
        correction_2 = bias_correction(self.beta_2, step)
        length = _average_length(self.beta_2, step)
        trusted = length > 5
        length = ops.where(trusted, length, 5.0)
        longest = max(2 / (1 - self.beta_2) - 1, 5.0)
        rectification = ops.sqrt(
            (length - 4)
            * (length - 2)
            * longest
            / ((longest - 4) * (longest - 2) * length)
        )
        # One expression for both cases, with scalars that differ. Beside so
        # large an offset as `HUGE` the root is nothing: what is left is `m`.
        root = math.sqrt(1 - self.beta_2)
        adaptive = rectification * ops.sqrt(correction_2) / root
        factor = ops.where(trusted, adaptive, HUGE)
        factor = factor * ops.cast(learning_rate, dtype) / correction_1
        epsilon = ops.full_like(step, self.epsilon / root)
        offset = ops.where(trusted, epsilon, HUGE)
        return factor * (1 - self.beta_1), offset

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        gradient = in_turn(self, index, dense(gradient, momentum.dtype))
        factor, offset = self.scalars_of_step(learning_rate, momentum.dtype)
        # The slots are sums and not averages, which spares three passes over
        # the weights.
        m = add_decaying(self, momentum, self.beta_1, gradient)
        v = add_decaying(self, velocity, self.beta_2, ops.square(gradient))
        self.assign_sub(variable, factor * m / (ops.sqrt(v) + offset))

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


def _average_length(beta: float, step: Any) -> Any:
    """Returns over how many steps the second moment averages."""
    # The paper's rho_t = 2 / (1 - beta) - 1 - 2 t beta^t / (1 - beta^t) is, in
    # the first steps, a small difference of large numbers: float32 keeps three
    # digits of it. With y = -ln(beta) and coth(x) = 1 + 2 / (e^2x - 1),
    #   rho_t = coth(y / 2) - 2 t / (e^ty - 1)
    #         = coth(y / 2) + t - t coth(t y / 2)
    #         = t + (L(y / 2) - L(t y / 2)) 2 / y,  L(x) = x coth(x) - 1,
    # where L(x) = x^2 / 3 - ... near 0 can be had without any difference.
    y = -math.log(beta)
    limit = 1 / math.tanh(y / 2)
    x = step * (y / 2)
    square = ops.square(x)
    series = square * (
        1 / 3 - square * (1 / 45 - square * (2 / 945 - square / 4725))
    )
    early = step + (limit - 2 / y) - series * (2 / y)
    late = limit - 2 * step / ops.expm1(2 * x)
    return ops.where(x < 0.1, early, late)
