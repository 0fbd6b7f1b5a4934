"""Adam whose second moment moves by a bounded amount."""

from typing import Any

import keras
from keras import ops

from .._arguments import check_learning_rate, check_number
from .._state import add_slots, dense
from .add_decaying import add_decaying
from .bias_correction import bias_correction
from .in_turn import in_turn
from .once_per_step import OncePerStep


@keras.saving.register_keras_serializable(package="keras_regimen")
class Yogi(OncePerStep, keras.optimizers.Optimizer):
    """Adam that forgets large gradients slowly.

    Use it where gradients are sparse or come in bursts. Adam's second moment
    decays by a share of itself, so when gradients turn small after large ones,
    its steps soon grow. Yogi's moves by the squared gradient, up or down, so
    it grows as fast as Adam's and shrinks slowly.

    Args:
        learning_rate: Float of 0 or more, schedule, or callable without
            arguments. Default 0.01: its steps are shorter than Adam's.
        beta_1: Float in `[0, 1)`. The decay of the momentum. Default 0.9.
        beta_2: Float in `[0, 1)`. How slowly the second moment moves. Default
            0.999.
        epsilon: Float of 0 or more. Added to the root of the second moment,
            after its bias is corrected. Default 1e-3.
        initial_accumulator: Float of 0 or more. Where the second moment
            starts. Default 1e-6.
        **kwargs: Arguments of `keras.optimizers.Optimizer`, such as
            `weight_decay` (decoupled, as in AdamW), `clipnorm` and `use_ema`.

    Raises:
        ValueError: If an argument is outside its range.

    Example:

    >>> optimizer = Yogi(0.1, epsilon=0, initial_accumulator=0)
    >>> weight = keras.Variable(3.0)
    >>> optimizer.apply([keras.ops.array(9.0)], [weight])
    >>> round(float(weight), 3)
    2.9

    Reference:

    - Zaheer, Reddi, Sachan, Kale and Kumar, "Adaptive methods for nonconvex
      optimization", NeurIPS 2018, algorithm 2. It corrects no bias; we do, as
      TensorFlow Addons and optax do, where the momentum of the latter starts
      at the initial accumulator and ours at 0.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-3,
        initial_accumulator: float = 1e-6,
        **kwargs,
    ):
        super().__init__(check_learning_rate(learning_rate), **kwargs)
        self.beta_1 = check_number("beta_1", beta_1, high=1)
        self.beta_2 = check_number("beta_2", beta_2, high=1)
        self.epsilon = check_number("epsilon", epsilon)
        self.initial_accumulator = check_number(
            "initial_accumulator", initial_accumulator
        )

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._momentums = add_slots(self, variables, "momentum")
        self._velocities = add_slots(
            self,
            variables,
            "velocity",
            keras.initializers.Constant(self.initial_accumulator),
        )

    def scalars(self, learning_rate, dtype):
        step = ops.cast(self.iterations + 1, dtype)
        correction_1 = bias_correction(self.beta_1, step)
        correction_2 = ops.sqrt(bias_correction(self.beta_2, step))
        rate = ops.cast(learning_rate, dtype)
        # The momentum is a sum and not an average, which spares a pass.
        factor = rate * correction_2 * ((1 - self.beta_1) / correction_1)
        return factor, self.epsilon * correction_2

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        factor, offset = self.scalars_of_step(learning_rate, momentum.dtype)
        gradient = in_turn(self, index, dense(gradient, momentum.dtype))
        m = add_decaying(self, momentum, self.beta_1, gradient)
        square = ops.square(gradient)
        sign = ops.sign(square - ops.convert_to_tensor(velocity))
        self.assign_add(velocity, sign * ((1 - self.beta_2) * square))
        v = ops.convert_to_tensor(velocity)
        self.assign_sub(variable, factor * (m / (ops.sqrt(v) + offset)))

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "initial_accumulator": self.initial_accumulator,
        }
