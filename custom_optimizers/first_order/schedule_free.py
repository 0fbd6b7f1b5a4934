"""What schedule-free optimizers share: three sequences, kept as two."""

from typing import Any

import keras
from keras import ops

from .._arguments import check_count, check_learning_rate, check_number
from .._state import add_slots, dense
from ..averaged_weights import AveragedWeights
from .once_per_step import OncePerStep


class ScheduleFree(AveragedWeights, OncePerStep, keras.optimizers.Optimizer):
    """Base of `ScheduleFreeSGD` and `ScheduleFreeAdamW`.

    Three sequences: `z` takes the steps, `x` is its average, and gradients are
    taken at `y = (1 - beta_1) z + beta_1 x`. While training, the model holds
    `y`; the optimizer keeps the lead of `z` over `x`, times the weight of all
    steps so far: `E = W (z - x)`. In evaluation and after `fit`, the model
    holds `x`.

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
        self._leads = add_slots(self, variables, "lead")
        self._largest_rate, self._weight_sum, self._holds_average = (
            self.add_variable((), name=name, aggregation="only_first_replica")
            for name in ("largest_rate", "weight_sum", "holds_average")
        )

    def scale(self, dtype: str) -> Any:
        """Returns what directions are to be multiplied by.

        Args:
            dtype: String. The dtype of the slots.

        Returns:
            A scalar or number.
        """
        del dtype
        return 1.0

    def direction(self, gradient: Any, index: int, scale: Any) -> Any:
        """Returns where `z` goes.

        Args:
            gradient: Tensor: the gradient at `y`.
            index: Integer. Which of the variables it belongs to.
            scale: What the result will be multiplied by.

        Returns:
            A tensor of the gradient's shape.
        """
        raise NotImplementedError

    def scalars(self, learning_rate, dtype):
        rate = self._warmed_up(learning_rate, self.iterations)
        _, new_total, weight = self._average_weights(rate)
        total, new_total, weight, rate = (
            ops.cast(scalar, dtype)
            for scalar in (self._weight_sum, new_total, weight, rate)
        )
        # No weight at all: the learning rate was 0 so far.
        c = ops.where(new_total > 0, weight / new_total, 0.0)
        inverse = ops.where(total > 0, 1 / total, 0.0)
        # After `fit` the variable holds x, and lacks as much of z - x.
        apart = ops.cast(self._holds_average, dtype) * (1 - self.beta_1)
        share = ops.where(total > 0, apart + c * self.beta_1, 0.0)
        scale = self.scale(dtype)
        rate = rate * scale
        of_direction = rate * (1 - self.beta_1 * (1 - c) - share)
        return (
            scale,
            apart * inverse,
            total * rate,
            share * inverse,
            of_direction,
        )

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        lead = self._leads[index]
        dtype = lead.dtype
        scale, apart, of_lead, share, of_direction = self.scalars_of_step(
            learning_rate, dtype
        )
        direction = self.direction(dense(gradient, dtype), index, scale)
        if self.weight_decay and self._use_weight_decay(variable):
            y = ops.cast(variable, dtype) + apart * lead
            direction = direction + (self.weight_decay / scale) * y
        # With u = rate * direction: z' = z - u, x' = (1 - c) x + c z', and so
        #   E' = E - W u,
        #   y' = y + c beta_1 (z - x) - (1 - beta_1 (1 - c)) u,
        # where z - x = E' / W + u, unless W = 0 and z = x. Of E' and not of E,
        # which XLA would copy, to read it after it was overwritten.
        self.assign_sub(lead, of_lead * direction)
        new_lead = ops.convert_to_tensor(lead)
        self.assign_add(variable, share * new_lead - of_direction * direction)

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
            lead = self._leads[self._get_variable_index(variable)]
            total = ops.cast(self._weight_sum, lead.dtype)
            share = ops.where(total > 0, (1 - self.beta_1) / total, 0.0)
            self.assign_sub(variable, share * lead)
        self._holds_average.assign(1.0)

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "warmup_steps": self.warmup_steps,
        }
