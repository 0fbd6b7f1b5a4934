"""The mean of all weights on the way."""

from typing import Any

import keras
from keras import ops

from .._arguments import check_count
from .._state import add_slots
from ..averaged_weights import AveragedWeights
from .optimizer_wrapper import OptimizerWrapper


@keras.saving.register_keras_serializable(package="keras_regimen")
class PolyakAveraging(AveragedWeights, OptimizerWrapper):
    """Keeps the arithmetic mean of the weights after each step.

    Use it with a constant learning rate: the weights then jitter around the
    minimum, and their mean comes close to it, as after a decay of the learning
    rate. Training itself is that of the inner optimizer, to the bit. Unlike
    the moving average of Keras' `use_ema`, all steps after `start_step` count
    the same.

    When `fit` ends, the model gets the means, and a further `fit` starts from
    them. `use_averaged_weights` and `use_training_weights` swap in between,
    for validation, and in a custom loop. The averages of batch normalization
    belong to the weights in training: see `reestimate_batch_normalization`.

    Args:
        inner_optimizer: A Keras optimizer, its name or its configuration.
            Neither with `use_ema` nor a schedule-free one: two averages would
            want to be the model's weights.
        start_step: Integer of 0 or more. The weights after this many steps are
            the last that do not count; until then, the mean is the weights
            themselves. With gradient accumulation, steps that move weights
            count. Default 0.
        name: Optional string. The optimizer's name.
        **kwargs: None: other arguments go to the inner optimizer.

    Raises:
        ValueError: If `start_step` is negative or no integer, or if the inner
            optimizer is refused.

    Example:

    >>> inner = keras.optimizers.SGD(1.0)
    >>> optimizer = PolyakAveraging(inner, start_step=1)
    >>> weight = keras.Variable(8.0)
    >>> for _ in range(3):  # To 7, 6 and 5, of which the last two count.
    ...     optimizer.apply([keras.ops.array(1.0)], [weight])
    >>> optimizer.finalize_variable_values([weight])
    >>> float(weight)
    5.5

    Reference:

    - Polyak and Juditsky, "Acceleration of stochastic approximation by
      averaging", 1992. They have no start step.
    """

    def __init__(
        self,
        inner_optimizer: Any,
        start_step: int = 0,
        name: str | None = None,
        **kwargs,
    ):
        super().__init__(inner_optimizer, name=name, **kwargs)
        self.refuse_schedule_free()
        if self.innermost_optimizer.use_ema:
            raise ValueError(
                "`use_ema` of the inner optimizer averages the weights as "
                "well, and the model can end with one of the averages. "
                f"Received: inner_optimizer={self.innermost_optimizer.name}, "
                "with use_ema=True"
            )
        self.start_step = check_count("start_step", start_step, low=0)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._means = add_slots(self, variables, "mean", "copy")

    def step(self, gradients, variables):
        before = self.iterations + 0  # A copy: the variable moves.
        super().step(gradients, variables)
        count = ops.cast(self.iterations - self.start_step, "float32")
        # With gradient accumulation, most calls move nothing.
        moved = ops.cast(ops.not_equal(self.iterations, before), "float32")
        share = moved / ops.maximum(count, 1.0)
        for variable in variables:
            mean = self._means[self._get_variable_index(variable)]
            a = ops.cast(share, mean.dtype)
            old = (1 - a) * ops.convert_to_tensor(mean)
            self.assign(mean, old + a * ops.cast(variable, mean.dtype))

    def write_averages(self, variables):
        self.inner_optimizer.finalize_variable_values(variables)
        for variable in variables:
            mean = self._means[self._get_variable_index(variable)]
            # A copy: JAX donates both to the next step.
            self.assign(variable, ops.copy(ops.convert_to_tensor(mean)))

    def get_config(self):
        return {**super().get_config(), "start_step": self.start_step}
