"""Scalars that are the same for all weights, computed once in each step."""

from collections.abc import Callable, Iterable
from typing import Any


class OncePerStep:
    """What a first-order optimizer computes once, and not for each weight.

    A base of optimizers that derive a dozen scalars or more from the number of
    steps. As part of a TensorFlow graph, each costs as much as an operation on
    a thousand weights, and a net has many biases. They are computed with the
    first of the variables, and forgotten after the last.
    """

    _of_step: Callable[[Any, str], Any] | None = None

    def scalars(self, learning_rate: Any, dtype: str) -> Any:
        """Returns what `update_step` needs for variables of a dtype.

        Args:
            learning_rate: Tensor or variable, as in `update_step`.
            dtype: String. The dtype of a variable's slots.
        """
        raise NotImplementedError

    def scalars_of_step(self, learning_rate: Any, dtype: str) -> Any:
        """Returns `scalars`, computed in this step by whoever came first.

        Args:
            learning_rate: Tensor or variable, as in `update_step`.
            dtype: String. The dtype of a variable's slots.
        """
        return (self._of_step or self.scalars)(learning_rate, dtype)

    def apply(
        self, grads: Iterable[Any], trainable_variables: Any = None
    ) -> None:
        """Moves variables, as in `keras.optimizers.Optimizer.apply`.

        Args:
            grads: The gradients.
            trainable_variables: The variables, if they are not known already.
        """
        known = {}

        def of_step(learning_rate, dtype):
            if dtype not in known:
                known[dtype] = self.scalars(learning_rate, dtype)
            return known[dtype]

        self._of_step = of_step
        try:
            super().apply(grads, trainable_variables)  # type: ignore[misc]
        finally:  # A trace's tensors are of no use outside of it.
            self._of_step = None
