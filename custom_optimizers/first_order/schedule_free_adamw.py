"""AdamW that needs no learning-rate schedule."""

from typing import Any

import keras
from keras import ops

from .._arguments import check_number
from .._state import add_slots
from .add_decaying import add_decaying
from .bias_correction import bias_correction
from .in_turn import in_turn
from .schedule_free import ScheduleFree


@keras.saving.register_keras_serializable(package="keras_regimen")
class ScheduleFreeAdamW(ScheduleFree):
    """AdamW with averaged weights instead of a learning-rate schedule.

    Use it where you would decay AdamW's learning rate and do not know for how
    long you train. `ScheduleFreeSGD` tells how it works, when the model holds
    which weights, and how to swap them.

    Keras has an optimizer of this name. In Keras 3.15 it agrees with the
    authors' on JAX alone, gives every step the same weight in the average,
    warm-up included, and never evaluates with the averaged weights.

    Args:
        learning_rate: Float of 0 or more, schedule, or callable without
            arguments. Up to ten times that of AdamW. Default 0.0025.
        beta_1: Float in `(0, 1]`. How close to the average gradients are
            taken. It takes the place of momentum. Default 0.9.
        beta_2: Float in `[0, 1)`. The decay of the second moment. Default
            0.999.
        epsilon: Float of 0 or more. Added to the root of the second moment,
            after its bias is corrected. Default 1e-8.
        warmup_steps: Integer of 0 or more. For how many steps the learning
            rate rises to its value. Steps weigh in the average by the square
            of the largest learning rate so far. Default 0.
        weight_decay: Optional float of 0 or more. Decays the weights in
            training by `learning_rate * weight_decay`. Default: none.
        **kwargs: Arguments of `keras.optimizers.Optimizer`, such as
            `clipnorm`. `use_ema` is refused.

    Raises:
        ValueError: If an argument is outside its range, or `use_ema` is set.

    Example:

    >>> optimizer = ScheduleFreeAdamW(1.0, beta_1=0.5)
    >>> weight = keras.Variable(8.0)
    >>> for _ in range(2):  # Steps to 7 and 6: their average is 6.5.
    ...     optimizer.apply([keras.ops.array(9.0)], [weight])
    >>> round(float(weight), 3)
    6.25
    >>> optimizer.use_averaged_weights([weight])
    >>> round(float(weight), 3)
    6.5

    Reference:

    - Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky, "The road less
      scheduled", [2024](https://arxiv.org/abs/2405.15682), and the authors'
      code. Its polynomial weights (`r`) and inner momentum are left out.
    """

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        weight_decay: float | None = None,
        **kwargs,
    ):
        super().__init__(
            learning_rate, beta_1, warmup_steps, weight_decay, **kwargs
        )
        self.beta_2 = check_number("beta_2", beta_2, high=1)
        self.epsilon = check_number("epsilon", epsilon)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._velocities = add_slots(self, variables, "velocity")

    def scale(self, dtype):
        # g / (sqrt(v / correction) + epsilon), with a scalar put aside: `v`
        # is a sum and not an average, which spares a pass over the weights.
        step = ops.cast(self.iterations + 1, dtype)
        correction = bias_correction(self.beta_2, step)
        return ops.sqrt(correction / (1 - self.beta_2))

    def direction(self, gradient, index, scale):
        velocity = self._velocities[index]
        gradient = in_turn(self, index, gradient)
        v = add_decaying(self, velocity, self.beta_2, ops.square(gradient))
        return gradient / (ops.sqrt(v) + self.epsilon * scale)

    def get_config(self):
        return {
            **super().get_config(),
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
