"""The update that an optimizer would make, on copies of all it touches."""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from ...custom_optimizers import ClosureOptimizer
from ..learning_rate.learning_rates import optimizers_within


class ScratchOptimizer:
    """Finds out how far an optimizer would move weights, and moves none.

    Use it in a callback that only looks. On TensorFlow and PyTorch it holds a
    second optimizer of the same configuration and a second set of weights: as
    much memory as the weights and the optimizer's slots take.

    Args:
        optimizer: A built optimizer.
        variables: List of the weights that it trains, in its order.

    Raises:
        ValueError: If an optimizer within evaluates the loss by itself, or
            cannot be made again from its configuration where a second one is
            needed.

    Example:

    >>> weight = keras.Variable([1.0, 2.0])
    >>> sgd = keras.optimizers.SGD(0.5)
    >>> sgd.build([weight])
    >>> scratch = ScratchOptimizer(sgd, [weight])
    >>> [update] = scratch.updates([keras.ops.array([1.0, -1.0])])
    >>> [float(x) for x in update], float(weight.value[0])
    ([-0.5, 0.5], 1.0)
    """

    def __init__(self, optimizer: Any, variables: Sequence):
        parts = optimizers_within(optimizer)
        if any(isinstance(part, ClosureOptimizer) for part in parts):
            raise ValueError(
                "`optimizer` must make its step from one gradient. "
                f"Received: optimizer={optimizer.name}"
            )
        self.optimizer = optimizer
        self.variables = list(variables)
        # There an optimizer is a function of its state, and needs no twin.
        self._is_function = keras.config.backend() == "jax"
        if self._is_function:
            return
        self._weights = [_copy_of(variable) for variable in variables]
        try:
            self._twin = type(optimizer).from_config(optimizer.get_config())
            self._twin.build(self._weights)
            shapes = [
                [tuple(variable.shape) for variable in part.variables]
                for part in (optimizer, self._twin)
            ]
            if shapes[0] != shapes[1]:
                raise ValueError("the state differs")
        except Exception as error:
            raise ValueError(
                "`optimizer` must be one that its configuration makes again. "
                f"Received: optimizer={optimizer.name}: {error}"
            ) from error

    def updates(self, gradients: Sequence) -> list:
        """Returns by how much the optimizer would change each weight now.

        Args:
            gradients: List of tensors, the gradients of the scaled loss.

        Returns:
            List of tensors.
        """
        if self._is_function:
            state = [variable.value for variable in self.optimizer.variables]
            weights = [variable.value for variable in self.variables]
            moved, _ = self.optimizer.stateless_apply(
                state, list(gradients), weights
            )
            return [a - b for a, b in zip(moved, weights, strict=True)]
        pairs = [
            *zip(self._weights, self.variables, strict=True),
            *zip(self._twin.variables, self.optimizer.variables, strict=True),
        ]
        for copy, original in pairs:
            copy.assign(ops.copy(original.value))
        self._twin.apply(list(gradients), self._weights)
        return [
            copy.value - original.value
            for copy, original in zip(
                self._weights, self.variables, strict=True
            )
        ]


def _copy_of(variable: Any) -> keras.Variable:
    *scopes, name = variable.path.split("/")
    with contextlib.ExitStack() as stack:
        # Some optimizers treat a weight by its path.
        for scope in scopes:
            stack.enter_context(keras.name_scope(scope))
        copy = keras.Variable(
            ops.copy(variable.value), dtype=variable.dtype, name=name
        )
    copy.constraint = variable.constraint
    return copy
