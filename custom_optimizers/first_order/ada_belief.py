"""Adam that divides by the surprise in the gradient."""

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
class AdaBelief(OncePerStep, keras.optimizers.Optimizer):
    """Adam that takes long steps where gradients come as expected.

    Use it in place of Adam. Adam divides by the root of an average over
    squared gradients; `AdaBelief` averages the squares of what is left of a
    gradient after its momentum, the prediction, is subtracted. Where the
    gradient is large but steady, Adam takes small steps and this one large
    ones.

    Args:
        learning_rate: Float of 0 or more, schedule, or callable without
            arguments. Default 0.001.
        beta_1: Float in `(0, 1)`. The decay of the momentum, which predicts
            the gradient: with 0 nothing would surprise. Default 0.9.
        beta_2: Float in `[0, 1)`. The decay of the squared surprise. Default
            0.999.
        epsilon: Positive float. Added to the squared surprise in each step,
            so in the long run `epsilon / (1 - beta_2)`. It decides how long
            steps can get where nothing surprises. Default 1e-16.
        **kwargs: Arguments of `keras.optimizers.Optimizer`, such as
            `weight_decay` (decoupled, as in AdamW), `clipnorm` and `use_ema`.

    Raises:
        ValueError: If an argument is outside its range.

    Example:

    >>> optimizer = AdaBelief(0.1)
    >>> weight = keras.Variable(3.0)
    >>> optimizer.apply([keras.ops.array(9.0)], [weight])
    >>> round(float(weight), 3)  # The momentum predicted a tenth of it.
    2.889

    Reference:

    - Zhuang, Tang, Ding, Tatikonda, Dvornek, Papademetris and Duncan,
      "AdaBelief optimizer: adapting stepsizes by the belief in observed
      gradients", [2020](https://arxiv.org/abs/2010.07468), algorithm 2. It
      adds `epsilon` to the denominator too, where ours stands under the root
      alone; and we have no rectification.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-16,
        **kwargs,
    ):
        super().__init__(check_learning_rate(learning_rate), **kwargs)
        self.beta_1 = check_number("beta_1", beta_1, high=1, open_low=True)
        self.beta_2 = check_number("beta_2", beta_2, high=1)
        self.epsilon = check_number("epsilon", epsilon, open_low=True)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._momentums = add_slots(self, variables, "momentum")
        self._surprises = add_slots(self, variables, "surprise")

    def scalars(self, learning_rate, dtype):
        step = ops.cast(self.iterations + 1, dtype)
        correction_1 = bias_correction(self.beta_1, step)
        correction_2 = bias_correction(self.beta_2, step)
        # The surprises are a sum and not an average, which spares a pass over
        # the weights: `s` is to be multiplied by `1 - beta_2`. The epsilons of
        # all steps are a geometric series, which is added here.
        share = correction_2 / (1 - self.beta_2)
        offset = self.epsilon / (1 - self.beta_2) * share
        factor = ops.cast(learning_rate, dtype) / correction_1
        return factor * ops.sqrt(share), offset

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        momentum, surprises = self._momentums[index], self._surprises[index]
        factor, offset = self.scalars_of_step(learning_rate, momentum.dtype)
        gradient = in_turn(self, index, dense(gradient, momentum.dtype))
        old = ops.convert_to_tensor(momentum)
        self.assign_add(momentum, (1 - self.beta_1) * (gradient - old))
        # From the new momentum alone: XLA would copy the old one, to read it
        # after it was overwritten.
        m = ops.convert_to_tensor(momentum)
        square = ops.square(gradient - m)
        s = add_decaying(self, surprises, self.beta_2, square)
        self.assign_sub(variable, factor * (m / ops.sqrt(s + offset)))

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
