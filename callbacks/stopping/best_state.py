"""The best epoch's weights, or whole training state, kept on the device."""

from typing import Any

import keras
from keras import ops


class BestState:
    """Keeps one copy of a model's state and writes it back.

    Use it in a callback that keeps the best epoch. The copy is made where the
    weights live, so that a large model is not moved to the host at each
    improvement, and in the memory of the copy before: there is never more than
    one, and a list in `weights` is valid until the next is made.

    Args:
        training_state: Boolean. `False` keeps the weights alone. `True` keeps
            whatever training changes in the model: the optimizer's slots,
            iterations and learning rate, the seed generators and the metrics
            too; on PyTorch also its global random state, of which Keras'
            dropout draws unless it has a seed. Defaults to `False`.

    Attributes:
        weights: The kept weights in the order of `model.get_weights()`, or
            `None` while nothing is kept.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> best = BestState()
    >>> best.keep(model)
    >>> before = model.get_weights()
    >>> model.set_weights([2 * weight + 1 for weight in before])
    >>> best.restore(model)
    True
    >>> bool(model.get_weights()[0] == before[0])
    True
    """

    def __init__(self, training_state: bool = False):
        self.training_state = training_state
        self.weights: Any = None
        self._variables: list[keras.Variable] = []
        self._copies: list[Any] = []
        self._random_state: Any = None

    def keep(self, model: Any) -> None:
        """Replaces the kept copy by the state that the model is in now."""
        # Cut short from here on, nothing is kept, and nothing needs to be:
        # the model itself still holds the best state.
        self.weights, earlier, self._copies = None, self._copies, []
        if not isinstance(model, keras.Model):
            # All that Keras' own early stopping asks of a model.
            self.weights = model.get_weights()
            return
        variables = list(model.weights)
        if self.training_state:
            variables += _other_variables(model)
            self._random_state = _random_state()
        if list(map(id, variables)) != list(map(id, self._variables)):
            earlier = []
        self._variables = variables
        self._copies = _copies(variables, into=earlier)
        self.weights = self._copies[: len(model.weights)]

    def restore(self, model: Any) -> bool:
        """Writes the kept copy back; returns whether there was one."""
        if self.weights is None:
            return False
        if not isinstance(model, keras.Model):
            model.set_weights(self.weights)
            return True
        # Read from `weights`, since Keras lets its users set these.
        others = slice(len(self.weights), None)
        variables = [*model.weights, *self._variables[others]]
        values = [*self.weights, *self._copies[others]]
        for variable, value in zip(variables, values, strict=True):
            # A copy again: JAX would make the kept array the variable's own,
            # and the next training step gives its buffer away.
            variable.assign(ops.copy(value))
        _set_random_state(self._random_state)
        return True


def _other_variables(model: keras.Model) -> list[keras.Variable]:
    variables = [*model.variables, *model.metrics_variables]
    if model.optimizer is not None:
        variables += model.optimizer.variables
    # By identity, since `==` of variables compares their elements.
    others = {id(variable): variable for variable in variables}
    for weight in model.weights:
        del others[id(weight)]
    return list(others.values())


def _copies(variables: list[keras.Variable], into: list[Any]) -> list[Any]:
    if keras.config.backend() == "jax":
        from ._jax import copies
    elif keras.config.backend() == "torch":
        from ._torch import copies
    else:
        from ._tensorflow import copies
    return copies(variables, into)


def _random_state() -> Any:
    if keras.config.backend() != "torch":
        return None
    from ._torch import random_state

    return random_state()


def _set_random_state(state: Any) -> None:
    if state is not None:
        from ._torch import set_random_state

        set_random_state(state)
