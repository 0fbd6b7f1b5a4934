"""What optimizers share that evaluate the loss as often as they like."""

import math
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from ..autodiff import FlatVariables, Objective, compiled, length, while_loop
from ._search import REASONS, SUFFICIENT, Search, Trial, noise_between


class State(NamedTuple):
    """Where an optimizer stands, as tensors.

    Args:
        x: Tensor `(size,)`, the point.
        value: Scalar tensor, the loss there.
        gradient: Tensor `(size,)`, its gradient there.
        change: Scalar tensor, what the last iteration changed the loss by.
        age: Integer tensor, the iterations since the memory was empty.
        known: Integer tensor, 1 where `value` and `gradient` belong to `x`.
        memory: Tuple of tensors, what an algorithm keeps.
    """

    x: Any
    value: Any
    gradient: Any
    change: Any
    age: Any
    known: Any
    memory: tuple


class Report(NamedTuple):
    """What an iteration tells its caller, in one vector for one transfer.

    Args:
        value: Float, the loss after the iteration.
        gradient: Float, the largest absolute entry of its gradient.
        evaluations: Float, a whole number: the evaluations of the loss with
            its gradient, and products with its Hessian.
        reason: Float, a whole number: why the line search ended.
        stuck: Float, 1 where no step at all was found.
    """

    value: Any
    gradient: Any
    evaluations: Any
    reason: Any
    stuck: Any


class Minimum(NamedTuple):
    """The outcome of `minimize`.

    Args:
        value: Float, the loss at the end.
        gradient: Float, the largest absolute entry of its gradient.
        iterations: Integer, the iterations.
        evaluations: Integer, the evaluations of the loss with its gradient,
            and the products with its Hessian.
        converged: Boolean, whether `gradient` is within the tolerance.
        message: String, why it ended.

    Example:

    >>> from keras_regimen.custom_optimizers import BFGS
    >>> w = keras.Variable([3.0])
    >>> minimum = BFGS().minimize(lambda: keras.ops.sum(w * w), [w])
    >>> minimum.converged, minimum.value < 1e-6
    (True, True)
    """

    value: float
    gradient: float
    iterations: int
    evaluations: int
    converged: bool
    message: str


class ClosureOptimizer(keras.optimizers.Optimizer):
    """Base class of optimizers that evaluate the loss within a step.

    They minimize a function of Keras variables by `minimize`, or train a
    `keras_regimen.custom_models.FullBatchModel`. A plain `keras.Model` hands
    its optimizer one gradient a step and no loss to evaluate: so it refuses
    them. An iteration is a pure function of a `State`, and compiled whole:
    weights and memory stay on the device, and the host reads one short vector.

    A subclass says where to go, in `direction`, and what it learns from a step
    in `updated`.

    Args:
        line_search: A `StrongWolfe`, a `BacktrackingLineSearch`, or a callable
            `(phi, start, first_step) -> Search` like them.
        learning_rate: Float above 0 or a schedule. What the first step that a
            line search tries is multiplied by. Defaults to 1.0.
        name: String, the optimizer's name.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> class SteepestDescent(ClosureOptimizer):
    ...     def direction(self, objective, state):
    ...         return -state.gradient, 0
    >>> from keras_regimen.custom_optimizers import BacktrackingLineSearch
    >>> w = keras.Variable([3.0])
    >>> optimizer = SteepestDescent(BacktrackingLineSearch())
    >>> optimizer.minimize(lambda: keras.ops.sum(w * w), [w]).converged
    True
    """

    def __init__(
        self,
        line_search: Callable,
        learning_rate: Any = 1.0,
        name: str | None = None,
    ):
        if isinstance(learning_rate, numbers.Real):
            if not 0 < float(learning_rate) < math.inf:
                raise ValueError(
                    "`learning_rate` must be above 0. "
                    f"Received: learning_rate={learning_rate}"
                )
            learning_rate = float(learning_rate)
        if isinstance(line_search, dict):
            line_search = keras.saving.deserialize_keras_object(line_search)
        if not callable(line_search):
            raise ValueError(
                "`line_search` must be callable, such as `StrongWolfe()`. "
                f"Received: line_search={line_search!r}"
            )
        super().__init__(learning_rate=learning_rate, name=name)
        self.line_search = line_search
        self._flat: Any = None  # `FlatVariables` once it is built.
        self._slots: list = []
        self._last: tuple = (None, None)

    # What an algorithm is.

    def empty_memory(self, size: int, dtype: str) -> tuple:
        """Returns the memory before the first iteration: zeros."""
        del size, dtype
        return ()

    def direction(self, objective, state: State) -> tuple:
        """Returns where to go, and how many Hessian products that cost."""
        raise NotImplementedError

    def updated(self, memory: tuple, old: State, new: State, direction):
        """Returns the memory after an iteration from `old` to `new`."""
        del old, new, direction
        return memory

    def first_step(self, state: State, direction, slope):
        """Returns the first step that the line search tries."""
        del direction
        # The one of which a parabola would expect the last change again.
        scale = ops.where(
            state.age > 0,
            2 * state.change / slope,
            1 / length(state.gradient),
        )
        step = 1.01 * scale
        return ops.where((step > 0) & (step < 1), step, 1.0)

    # One iteration, as pure functions.

    def empty_state(self, size: int, dtype: str) -> State:
        """Returns the state before anything is known."""
        vector = ops.zeros((size,), dtype)
        scalar = ops.zeros((), dtype)
        count = ops.zeros((), "int32")
        memory = self.empty_memory(size, dtype)
        return State(vector, scalar, vector, scalar, count, count, memory)

    def known(self, objective, state: State) -> tuple:
        """Returns the state with value and gradient, and what that cost."""

        def evaluate(held):
            del held
            return *objective(state.x), ops.ones_like(state.known)

        # Only what changes goes through the loop: the rest would cost time.
        value, gradient, known = while_loop(
            lambda held: held[-1] == 0,
            evaluate,
            (state.value, state.gradient, state.known),
        )
        cost = 1 - state.known
        return state._replace(value=value, gradient=gradient, known=known), cost

    def step(self, objective, state: State) -> tuple[State, Report]:
        """Returns the state after one iteration, and a report on it."""
        state, cost = self.known(objective, state)
        direction, products = self.direction(objective, state)
        slope = ops.sum(direction * state.gradient)
        # Uphill or undefined: what was learned does not hold here.
        downhill = self._downhill(slope)
        direction = ops.where(downhill, direction, -state.gradient)
        slope = ops.where(
            downhill, slope, -ops.sum(state.gradient * state.gradient)
        )
        state = state._replace(age=ops.where(downhill, state.age, 0))
        found = self._searched(objective, state, direction, slope)

        trial = found.trial
        moved = (trial.step > 0) & self._gains(state, trial)
        new = state._replace(
            x=ops.where(moved, state.x + trial.step * direction, state.x),
            value=ops.where(moved, trial.value, state.value),
            gradient=ops.where(moved, trial.gradient, state.gradient),
            change=found.change,
        )
        memory = self.updated(state.memory, state, new, direction)
        # Where a direction failed, the next one is the steepest again, and
        # the memory of no account.
        age = ops.where(moved, state.age + 1, 0)
        new = new._replace(memory=memory, age=age)
        size = ops.max(ops.abs(new.gradient))
        report = Report(
            new.value,
            size,
            cost + products + found.evaluations,
            found.reason,
            ~moved & (state.age == 0),
        )
        return new, report

    def _gains(self, state, trial):
        # Where rounding hides whether the loss fell, a smaller gradient must
        # show it: so steps come to an end.
        noise = noise_between(state.value, trial.value)
        hidden = ops.abs(trial.value - state.value) <= noise
        return ~hidden | (length(trial.gradient) < length(state.gradient))

    def _downhill(self, slope):
        return slope < 0

    def _searched(self, objective, state, direction, slope) -> Search:
        def phi(step):
            value, gradient = objective(state.x + step * direction)
            slope = ops.sum(gradient * direction)
            return Trial(step, value, slope, gradient)

        start = Trial(
            ops.zeros_like(state.value), state.value, slope, state.gradient
        )
        first = self.first_step(state, direction, slope)
        rate = ops.cast(self.learning_rate, first.dtype)
        return self.line_search(phi, start, rate * first)

    # On variables.

    def build(self, variables) -> None:
        if self.built:
            return
        for variable in variables:
            if variable.constraint is not None:
                raise ValueError(
                    f"`{type(self).__name__}` searches along lines and knows "
                    "no constraints on weights: a penalty serves instead. "
                    f"Received: {variable.path} with {variable.constraint}"
                )
        super().build(variables)
        self._flat = FlatVariables(variables)
        empty = self.empty_state(self._flat.size, self._flat.dtype)
        fields = [*empty._fields[:-1], *self._memory_names(empty)]
        self._slots = [
            self.add_variable(
                shape=tuple(tensor.shape),
                dtype=keras.backend.standardize_dtype(tensor.dtype),
                name=field,
            )
            for field, tensor in zip(
                fields, keras.tree.flatten(empty), strict=True
            )
        ]

    def _memory_names(self, state: State) -> list[str]:
        return [f"memory_{i}" for i in range(len(state.memory))]

    def advance(self, objective, refresh: bool = False):
        """Makes one iteration on the variables that this was built for.

        Args:
            objective: The `Objective`, a function of all variables as one
                vector.
            refresh: Boolean. Whether the loss may be another one than in the
                iteration before, so that it is evaluated anew. Default
                `False`.

        Returns:
            The `Report`, as a vector.
        """
        flat = self._flat
        x = flat.read()
        values = [ops.copy(slot.value) for slot in self._slots]
        number = State._fields.index("memory")
        state = State._make([*values[:number], tuple(values[number:])])
        same = ops.all(state.x == x) & (not refresh)
        state = state._replace(x=x, known=ops.where(same, state.known, 0))
        state, report = self.step(objective, state)
        flat.write(state.x)
        pairs = zip(self._slots, keras.tree.flatten(state), strict=True)
        for slot, value in pairs:
            slot.assign(value)
        self._iterations.assign_add(1)
        return ops.stack([ops.cast(entry, flat.dtype) for entry in report])

    def forget(self, memory: bool = True) -> None:
        """Forgets the value and gradient of the loss, and the memory."""
        names = {"known", "age"} if memory else {"known"}
        for slot, name in zip(self._slots, State._fields, strict=False):
            if name in names:
                slot.assign(ops.zeros_like(slot.value))

    def minimize(
        self,
        loss: Callable,
        variables: list,
        max_iterations: int | None = None,
        tolerance: float = 1e-5,
        callback: Callable | None = None,
    ) -> Minimum:
        """Minimizes a function of Keras variables.

        Args:
            loss: Function without arguments that reads the variables and
                returns a scalar tensor. It is compiled.
            variables: Non-empty list of float `keras.Variable`s, always the
                same for one optimizer. They end at the best point found.
            max_iterations: Positive integer. Defaults to 200 times the number
                of weights.
            tolerance: Float of at least 0. The largest absolute entry of the
                gradient at which to stop. Defaults to 1e-5.
            callback: Function of the `Report` of each iteration, as floats;
                `variables` hold the point meanwhile. Defaults to none.

        Returns:
            A `Minimum`.
        """
        if not tolerance >= 0:
            raise ValueError(
                "`tolerance` must be at least 0. "
                f"Received: tolerance={tolerance}"
            )
        if max_iterations is not None and not max_iterations > 0:
            raise ValueError(
                "`max_iterations` must be a positive integer. "
                f"Received: max_iterations={max_iterations}"
            )
        variables = list(variables)
        flat = self.built_for(variables)
        self.forget()
        if self._last[0] is not loss:
            objective = Objective(flat.function(loss))
            self._last = loss, compiled(lambda: self.advance(objective))
        limit = max_iterations or 200 * flat.size
        evaluations, message = 0, "the limit of iterations is reached"
        report = Report(math.nan, math.inf, 0, 0, 0)
        iterations = 0
        while iterations < limit:
            report = read_report(self._last[1]())
            iterations += 1
            evaluations += int(report.evaluations)
            if callback is not None:
                callback(report)
            if report.gradient <= tolerance:
                message = "the gradient is within the tolerance"
                break
            if report.stuck:
                message = why_stuck(report)
                break
        return Minimum(
            report.value,
            report.gradient,
            iterations,
            evaluations,
            report.gradient <= tolerance,
            message,
        )

    def built_for(self, variables) -> FlatVariables:
        """Builds, and returns the variables as one vector."""
        self.build(variables)
        flat = self._flat
        if flat is None or list(map(id, flat.variables)) != list(
            map(id, variables)
        ):
            raise ValueError(
                f"This {type(self).__name__} was built for other variables: "
                "its memory belongs to them. Make a new one for these."
            )
        return flat

    # What a plain model asks for.

    def apply(self, grads, trainable_variables=None):
        """Refuses: one gradient is not enough."""
        raise ValueError(
            f"`{type(self).__name__}` evaluates the loss several times in a "
            "step, which a plain `keras.Model` does not allow. Wrap the "
            "model, `FullBatchModel(model)` of `keras_regimen.custom_models`, "
            "or use `minimize(loss, variables)` for a bare function."
        )

    def apply_gradients(self, grads_and_vars):
        """Refuses: one gradient is not enough."""
        self.apply(grads_and_vars)

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        """Refuses: one gradient is not enough."""
        self.apply(grads)

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        config = super().get_config()
        serialize = keras.saving.serialize_keras_object
        return {
            "name": config["name"],
            "learning_rate": config["learning_rate"],
            "line_search": serialize(self.line_search),
        }


def read_report(vector) -> Report:
    """Returns a report as floats: the one transfer of an iteration."""
    return Report(*(float(x) for x in np.asarray(ops.convert_to_numpy(vector))))


def why_stuck(report: Report) -> str:
    """Returns why an iteration found no step, as a sentence's end."""
    reason = int(report.reason)
    if reason == SUFFICIENT:
        return "rounding hides what a further step would gain"
    return f"the line search failed: {REASONS[reason]}"
