"""What schedule-free optimizers share: three sequences, two of them kept."""

from typing import Any

import keras
from keras import ops

from .._arguments import check_count, check_learning_rate, check_number
from .._state import add_slots, dense
from ..averaged_weights import AveragedWeights


class ScheduleFree(AveragedWeights, keras.optimizers.Optimizer):
    """Base of `ScheduleFreeSGD` and `ScheduleFreeAdamW`.

    Three sequences: `z` takes the steps, `x` is its average, and gradients are
    taken at `y = (1 - beta_1) z + beta_1 x`. While training, the model holds
    `y`; the optimizer keeps `z`, from which `x` follows. In evaluation and
    after `fit`, the model holds `x`.

    Args:
        learning_rate: Float of 0 or more, schedule, or callable.
        beta_1: Float in `(0, 1]`. How much of the average is in `y`.
        warmup_steps: Integer of 0 or more.
        weight_decay: Optional float of 0 or more.
        **kwargs: Arguments of `keras.optimizers.Optimizer`.
    """

    def __init__(
        self,
        learning_rate: Any,
        beta_1: float,
        warmup_steps: int,
        weight_decay: float | None,
        **kwargs,
    ):
        if kwargs.get("use_ema"):
            raise ValueError(
                "`use_ema` would average the weights a second time, and not "
                f"those that `{type(self).__name__}` evaluates with. "
                f"Received: use_ema={kwargs['use_ema']}"
            )
        if weight_decay is not None:
            check_number("weight_decay", weight_decay)
        learning_rate = check_learning_rate(learning_rate)
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        self.beta_1 = check_number(
            "beta_1", beta_1, high=1, open_low=True, open_high=False
        )
        self.warmup_steps = check_count("warmup_steps", warmup_steps, low=0)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._z = add_slots(self, variables, "z", "copy")
        self._largest_rate, self._weight_sum, self._holds_average = (
            self.add_variable((), name=name, aggregation="only_first_replica")
            for name in ("largest_rate", "weight_sum", "holds_average")
        )

    def direction(self, gradient: Any, index: int) -> tuple[Any, Any]:
        """Returns where `z` goes, and what that is to be multiplied by.

        Args:
            gradient: Tensor: the gradient at `y`.
            index: Integer. Which of the variables it belongs to.

        Returns:
            A tensor of the gradient's shape, and a scalar or number.
        """
        raise NotImplementedError

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        iterate = self._z[index]
        dtype = iterate.dtype
        z = ops.convert_to_tensor(iterate)
        rate = self._warmed_up(learning_rate, self.iterations)
        _, *weights = self._average_weights(rate)
        weight_sum, weight, rate = (
            ops.cast(scalar, dtype) for scalar in (*weights, rate)
        )
        # No weight at all: the learning rate was 0 so far.
        c = ops.where(weight_sum > 0, weight / weight_sum, 0.0)

        direction, scale = self.direction(dense(gradient, dtype), index)
        # After `fit` the variable holds x. Two scalars make y of it, and no
        # further pass over the weights.
        held = ops.cast(self._holds_average, dtype)
        of_z = held * (1 - self.beta_1)
        of_variable = 1 - of_z
        old = ops.cast(variable, dtype)
        if self.weight_decay and self._use_weight_decay(variable):
            y = of_variable * old + of_z * z
            direction = direction + (self.weight_decay / scale) * y
        # With u = rate * direction: z' = z - u, x' = (1 - c) x + c z', and so
        #   y' = (1 - beta_1) z' + beta_1 x'
        #      = (1 - c) y + c z - (1 - beta_1 (1 - c)) u.
        rate = rate * scale
        new = (
            ((1 - c) * of_variable) * old
            + ((1 - c) * of_z + c) * z
            - (rate * (1 - self.beta_1 * (1 - c))) * direction
        )
        new_z = z - rate * direction
        self.assign(variable, new)
        self.assign(iterate, new_z)

    def apply(self, grads, trainable_variables=None):
        before = self.iterations + 0  # A copy: the variable moves.
        learning_rate = ops.convert_to_tensor(self.learning_rate)
        super().apply(grads, trainable_variables)
        # With gradient accumulation, most calls move nothing.
        moved = ops.not_equal(self.iterations, before)
        rate = self._warmed_up(learning_rate, before)
        largest_rate, weight_sum, _ = self._average_weights(rate)
        for variable, value in (
            (self._largest_rate, largest_rate),
            (self._weight_sum, weight_sum),
            (self._holds_average, 0.0),
        ):
            old = ops.convert_to_tensor(variable)
            variable.assign(ops.where(moved, value, old))

    def _warmed_up(self, learning_rate, iterations):
        rate = ops.cast(learning_rate, "float32")
        if not self.warmup_steps:
            return rate
        share = ops.cast(iterations + 1, "float32") / self.warmup_steps
        return rate * ops.minimum(share, 1.0)

    def _average_weights(self, rate):
        largest_rate = ops.maximum(self._largest_rate, rate)
        weight = ops.square(largest_rate)
        return largest_rate, self._weight_sum + weight, weight

    def _apply_weight_decay(self, variables):
        """Does nothing: `update_step` decays. Keras has no public switch."""

    @property
    def variables_of_the_swap(self):
        return [self._holds_average]

    def write_averages(self, variables):
        if float(ops.convert_to_numpy(self._holds_average)):
            return
        for variable in variables:
            iterate = self._z[self._get_variable_index(variable)]
            z = ops.convert_to_tensor(iterate)
            y = ops.cast(variable, iterate.dtype)
            self.assign(variable, (y - (1 - self.beta_1) * z) / self.beta_1)
        self._holds_average.assign(1.0)

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "warmup_steps": self.warmup_steps,
        }
