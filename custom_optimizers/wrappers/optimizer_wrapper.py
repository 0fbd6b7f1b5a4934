"""An optimizer around another one."""

from collections.abc import Sequence
from typing import Any

import keras

from ..first_order.schedule_free import ScheduleFree


@keras.saving.register_keras_serializable(package="keras_regimen")
class OptimizerWrapper(keras.optimizers.Optimizer):
    """Does as the optimizer inside it does.

    The base of `Lookahead`, `ProximalL1` and the like. A subclass overrides
    `step`, to change the gradients on their way in or the weights afterwards.
    Variables, learning rate, iterations and loss scale are those of the inner
    optimizer, and so are all arguments of Keras' base class: weight decay,
    clipping, `use_ema`, gradient accumulation. Wrappers may be wrapped.

    Args:
        inner_optimizer: A Keras optimizer, its name or its configuration. Not
            a `LossScaleOptimizer`, which belongs around the wrapper (as
            `compile` does under `mixed_float16`), nor a `MultiOptimizer`,
            each of whose optimizers may be wrapped.
        name: Optional string. The optimizer's name.
        **kwargs: None: arguments of the base class are refused here, because
            the inner optimizer takes them.

    Raises:
        ValueError: If the inner optimizer is none or one of the two above, or
            if there are other arguments.

    Example:

    >>> optimizer = OptimizerWrapper(keras.optimizers.SGD(0.5))
    >>> weight = keras.Variable(3.0)
    >>> optimizer.apply([keras.ops.array(1.0)], [weight])
    >>> float(weight), float(optimizer.learning_rate)
    (2.5, 0.5)
    """

    def __init__(self, inner_optimizer: Any, name: str | None = None, **kwargs):
        if kwargs:
            raise ValueError(
                f"`{type(self).__name__}` takes no such arguments. Those of "
                "an optimizer go to the inner one. "
                f"Received: {', '.join(f'{k}={kwargs[k]!r}' for k in kwargs)}"
            )
        inner_optimizer = keras.optimizers.get(inner_optimizer)
        if isinstance(
            inner_optimizer,
            keras.optimizers.LossScaleOptimizer
            | keras.optimizers.MultiOptimizer,
        ):
            raise ValueError(
                "`inner_optimizer` must be an optimizer of its own. Put a "
                "`LossScaleOptimizer` or `MultiOptimizer` around "
                f"`{type(self).__name__}`. "
                f"Received: inner_optimizer={inner_optimizer}"
            )
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = inner_optimizer

    def step(self, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
        """Takes a step: subclasses do more than the inner optimizer.

        Args:
            gradients: Their gradients, as they came: scaled by
                `loss_scale_factor`, and `None` where there is none.
            variables: The variables to move.
        """
        self.inner_optimizer.apply(gradients, variables)

    def build(self, variables):
        if self.built:
            return
        self.inner_optimizer.build(variables)
        super().build(variables)

    def apply(self, grads, trainable_variables=None):
        if not self.built and trainable_variables is not None:
            self.build(list(trainable_variables))
        if len(grads) == 0:
            return
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        if self.built:
            # Before a subclass looks for what it keeps for them.
            self._check_variables_are_known(trainable_variables)
        self.step(list(grads), list(trainable_variables))

    @property
    def innermost_optimizer(self) -> keras.optimizers.Optimizer:
        """The optimizer within all wrappers."""
        inner = self.inner_optimizer
        while isinstance(inner, OptimizerWrapper):
            inner = inner.inner_optimizer
        return inner

    def refuse_schedule_free(self) -> None:
        """Refuses an inner optimizer whose weights follow from its state.

        Raises:
            ValueError: If the innermost optimizer is a schedule-free one.
        """
        if isinstance(self.innermost_optimizer, ScheduleFree):
            raise ValueError(
                f"`{type(self).__name__}` moves weights after the step, and "
                "a schedule-free optimizer computes them from what it keeps. "
                f"Received: inner_optimizer={self.innermost_optimizer.name}"
            )

    @property
    def variables(self):
        return self._variables + self.inner_optimizer.variables

    @property
    def learning_rate(self):
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def iterations(self):
        return self.inner_optimizer.iterations

    @property
    def loss_scale_factor(self):
        return self.inner_optimizer.loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, factor):
        # Keras' base class sets one before there is an inner optimizer.
        if hasattr(self, "inner_optimizer"):
            self.inner_optimizer.loss_scale_factor = factor

    def scale_loss(self, loss):
        return self.inner_optimizer.scale_loss(loss)

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list):
        self.inner_optimizer.finalize_variable_values(var_list)

    def set_weights(self, weights):
        for variable, weight in zip(self.variables, weights, strict=True):
            variable.assign(weight)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "inner_optimizer": serialize(self.inner_optimizer),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        inner_optimizer = keras.saving.deserialize_keras_object(
            config["inner_optimizer"], custom_objects=custom_objects
        )
        return cls(**{**config, "inner_optimizer": inner_optimizer})
