"""Weights that follow the optimizer at a distance."""

from typing import Any

import keras
from keras import ops

from .._arguments import check_count, check_number
from .._state import add_slots, assign_if
from .optimizer_wrapper import OptimizerWrapper


@keras.saving.register_keras_serializable(package="keras_regimen")
class Lookahead(OptimizerWrapper):
    """Lets the optimizer run ahead, and goes a part of its way.

    Use it against noise: it keeps a second set of weights, the slow ones.
    After every `sync_period` steps of the inner optimizer, the slow weights
    move from where they are towards the fast ones, by a share of
    `slow_step_size`, and the fast ones start again from there. The learning
    rate matters less, and the weights vary less.

    The slow weights are the better ones. The model holds them after a multiple
    of `sync_period` steps: let training and epochs end there. The state of the
    inner optimizer, such as its momentum, is left as it is.

    Args:
        inner_optimizer: A Keras optimizer, its name or its configuration; not
            a schedule-free one, which averages by itself.
        sync_period: Integer of 1 or more, in steps (k in the paper). With
            gradient accumulation, steps that move weights count. Default 6.
        slow_step_size: Float in `(0, 1]` (alpha in the paper). 1 equals the
            inner optimizer to the bit. Default 0.5.
        name: Optional string. The optimizer's name.
        **kwargs: None: other arguments go to the inner optimizer.

    Raises:
        ValueError: If an argument is outside its range, or if the inner
            optimizer is refused.

    Example:

    >>> inner = keras.optimizers.SGD(1.0)
    >>> optimizer = Lookahead(inner, sync_period=2, slow_step_size=0.5)
    >>> weight = keras.Variable(3.0)
    >>> path = []
    >>> for _ in range(4):
    ...     optimizer.apply([keras.ops.array(1.0)], [weight])
    ...     path.append(float(weight))
    >>> path
    [2.0, 2.0, 1.0, 1.0]

    Reference:

    - Zhang, Lucas, Hinton and Ba, "Lookahead optimizer: k steps forward, 1
      step back", [2019](https://arxiv.org/abs/1907.08610), algorithm 1.
    """

    def __init__(
        self,
        inner_optimizer: Any,
        sync_period: int = 6,
        slow_step_size: float = 0.5,
        name: str | None = None,
        **kwargs,
    ):
        super().__init__(inner_optimizer, name=name, **kwargs)
        self.refuse_schedule_free()
        self.sync_period = check_count("sync_period", sync_period)
        self.slow_step_size = check_number(
            "slow_step_size",
            slow_step_size,
            high=1,
            open_low=True,
            open_high=False,
        )

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._slow = add_slots(self, variables, "slow", "copy")

    def step(self, gradients, variables):
        before = self.iterations + 0  # A copy: the variable moves.
        super().step(gradients, variables)
        slow = [self._slow[self._get_variable_index(v)] for v in variables]

        def synchronized():
            # Not `slow + a * (fast - slow)`, which rounds where a is 1.
            a = self.slow_step_size
            merged = [
                (1 - a) * ops.convert_to_tensor(s) + a * ops.cast(v, s.dtype)
                for s, v in zip(slow, variables, strict=True)
            ]
            # Copies: JAX donates both to the next step.
            return [ops.copy(m) for m in merged] + merged

        now = self.iterations
        due = ops.equal(now % self.sync_period, 0) & ops.not_equal(now, before)
        assign_if(due, slow + list(variables), synchronized)

    def get_config(self):
        return {
            **super().get_config(),
            "sync_period": self.sync_period,
            "slow_step_size": self.slow_step_size,
        }
