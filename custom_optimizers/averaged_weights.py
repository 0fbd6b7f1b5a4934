"""Optimizers that train some weights and stand for their average."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras import ops


class AveragedWeights:
    """What an optimizer can do that keeps an average of the weights.

    A base of `PolyakAveraging` and the schedule-free optimizers. While such an
    optimizer trains, the model holds the weights that gradients are taken at.
    At the end of `fit`, Keras calls `finalize_variable_values`, which writes
    the average into them. To validate with the average in between, swap it in
    and out, between steps and not inside a compiled function.

    Example:

    >>> from keras_regimen.custom_optimizers import PolyakAveraging
    >>> optimizer = PolyakAveraging(keras.optimizers.SGD(1.0))
    >>> weight = keras.Variable(8.0)
    >>> for _ in range(3):  # To 7, 6 and 5.
    ...     optimizer.apply([keras.ops.array(1.0)], [weight])
    >>> optimizer.use_averaged_weights([weight])
    >>> float(weight)
    6.0
    >>> optimizer.use_training_weights()
    >>> float(weight)
    5.0
    """

    # Keras' optimizers track what is assigned to them, but not a function.
    _restore: Callable[[], None] | None = None

    @property
    def variables_of_the_swap(self) -> list[keras.Variable]:
        """The optimizer's own variables that tell of a swap."""
        return []

    def use_averaged_weights(self, variables: Iterable[Any]) -> None:
        """Writes the averages into variables, and keeps what they held.

        Does nothing if they hold the averages already.

        Args:
            variables: The model's trainable variables.
        """
        if self._restore is not None:
            return
        variables = list(variables)
        kept = [
            (v, ops.copy(ops.convert_to_tensor(v)))
            for v in (*variables, *self.variables_of_the_swap)
        ]

        def restore():
            for variable, value in kept:
                variable.assign(value)

        self._restore = restore
        self.finalize_variable_values(variables)

    def use_training_weights(self) -> None:
        """Takes back `use_averaged_weights`, to the bit."""
        if self._restore is not None:
            self._restore()
            self._restore = None

    def finalize_variable_values(self, var_list: Iterable[Any]) -> None:
        """Writes the averages into variables, as at the end of `fit`.

        Keras calls it where `fit` fails, too, and a variable that the
        optimizer does not know is one of the reasons. Then nothing is written,
        and no second error hides the first.

        Args:
            var_list: The model's trainable variables.
        """
        var_list = list(var_list)
        try:
            self._check_variables_are_known(var_list)  # type: ignore[attr-defined]
        except ValueError:
            return
        self.write_averages(var_list)

    def write_averages(self, variables: list[Any]) -> None:
        """Writes the averages into variables: subclasses say how.

        Args:
            variables: Some of those that the optimizer was built with.
        """
        raise NotImplementedError
