"""SGD that needs no learning-rate schedule."""

from typing import Any

import keras

from .in_turn import in_turn
from .schedule_free import ScheduleFree


@keras.saving.register_keras_serializable(package="keras_regimen")
class ScheduleFreeSGD(ScheduleFree):
    """SGD with averaged weights instead of a learning-rate schedule.

    Use it where you would decay the learning rate and do not know for how
    long you train: the average of the weights is, at any time, about as good
    as a decay to zero that ends then. Steps start from the plain iterates,
    gradients are taken between these and their average, and evaluation wants
    the average.

    While training, the model holds the weights that gradients are taken at.
    When `fit` ends, it gets the averaged ones; a further `fit` goes on where
    this one ended, except that its first gradient is taken at the average.
    `use_averaged_weights` and `use_training_weights` swap in between, for
    validation, and in a custom loop. The averages of batch normalization
    belong to the weights in training: see `reestimate_batch_normalization`.

    Args:
        learning_rate: Float of 0 or more, schedule, or callable without
            arguments. Larger than that of SGD, by a factor of 10 or more:
            there is no other momentum. Default 1.0.
        beta_1: Float in `(0, 1]`. How close to the average gradients are
            taken. It takes the place of momentum. Default 0.9.
        warmup_steps: Integer of 0 or more. For how many steps the learning
            rate rises to its value. Steps weigh in the average by the square
            of the largest learning rate so far. Default 0.
        weight_decay: Optional float of 0 or more. An L2 penalty, whose
            gradient is added to that of the loss. Default: none.
        **kwargs: Arguments of `keras.optimizers.Optimizer`, such as
            `clipnorm`. `use_ema` is refused.

    Raises:
        ValueError: If an argument is outside its range, or `use_ema` is set.

    Example:

    >>> optimizer = ScheduleFreeSGD(1.0, beta_1=0.5)
    >>> weight = keras.Variable(8.0)
    >>> for _ in range(2):  # Steps to 7 and 6: their average is 6.5.
    ...     optimizer.apply([keras.ops.array(1.0)], [weight])
    >>> float(weight)
    6.25
    >>> optimizer.use_averaged_weights([weight])
    >>> float(weight)
    6.5

    Reference:

    - Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky, "The road less
      scheduled", [2024](https://arxiv.org/abs/2405.15682), and the authors'
      code. Its polynomial weights (`r`) are left out.
    """

    def __init__(
        self,
        learning_rate: Any = 1.0,
        beta_1: float = 0.9,
        warmup_steps: int = 0,
        weight_decay: float | None = None,
        **kwargs,
    ):
        super().__init__(
            learning_rate, beta_1, warmup_steps, weight_decay, **kwargs
        )

    def direction(self, gradient, index, scale):
        return in_turn(self, index, gradient)
