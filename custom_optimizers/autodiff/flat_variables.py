"""A list of Keras variables as one flat vector."""

import math

import keras
from keras import ops


class FlatVariables:
    """Reads and writes variables as one vector, and differentiates by it.

    Args:
        variables: Non-empty list of float `keras.Variable`s. The vector has
            the widest of their dtypes, and at least float32.

    Raises:
        ValueError: If there is no variable, or one is no float
            `keras.Variable`.

    Example:

    >>> weights = [keras.Variable([1.0, 2.0]), keras.Variable([[3.0]])]
    >>> flat = FlatVariables(weights)
    >>> [float(x) for x in flat.read()]
    [1.0, 2.0, 3.0]
    >>> flat.write(flat.read() * 2)
    >>> float(weights[1].value[0, 0])
    6.0
    """

    def __init__(self, variables: list):
        variables = list(variables)
        for variable in variables:
            if not (
                isinstance(variable, keras.Variable)
                and "float" in keras.backend.standardize_dtype(variable.dtype)
            ):
                raise ValueError(
                    "`variables` must be float `keras.Variable`s. "
                    f"Received: {variable}"
                )
        if not variables:
            raise ValueError(
                "`variables` must hold at least one variable. "
                f"Received: variables={variables}"
            )
        self.variables = variables
        # Not `result_type`, which knows no float64 on JAX and PyTorch.
        wide = any(variable.dtype == "float64" for variable in variables)
        self.dtype = "float64" if wide else "float32"
        self.sizes = [math.prod(variable.shape) for variable in variables]
        self.size = sum(self.sizes)

    def flatten(self, tensors):
        """Returns tensors of the variables' shapes as one vector."""
        return ops.concatenate(
            [ops.reshape(ops.cast(t, self.dtype), (-1,)) for t in tensors]
        )

    def split(self, vector):
        """Returns the parts of a vector, shaped as the variables are."""
        parts, start = [], 0
        for variable, size in zip(self.variables, self.sizes, strict=True):
            part = ops.reshape(vector[start : start + size], variable.shape)
            parts.append(ops.cast(part, variable.dtype))
            start += size
        return parts

    def read(self):
        """Returns a copy of the variables' values, as one vector."""
        # A vector of one variable alone might be the variable's own memory.
        vector = self.flatten([v.value for v in self.variables])
        return ops.stop_gradient(ops.copy(vector))

    def write(self, vector):
        """Assigns a vector to the variables."""
        pairs = zip(self.variables, self.split(vector), strict=True)
        for variable, part in pairs:
            variable.assign(part)

    def function(self, loss):
        """Returns a loss without arguments as a pure function of the vector.

        What the loss assigns to variables is forgotten: it may draw random
        numbers or update statistics, and gives the same value each time.
        """

        def value(vector):
            held = list(zip(self.variables, self.split(vector), strict=True))
            with _InnerScope(held, collect_losses=True):
                result = ops.convert_to_tensor(loss())
            if tuple(result.shape) != ():
                raise ValueError(
                    "`loss` must return a scalar. "
                    f"Received: a tensor of shape {tuple(result.shape)}"
                )
            return ops.cast(result, self.dtype)

        return value


class _InnerScope(keras.StatelessScope):
    """A stateless scope that knows the values of the scope around it."""

    def get_current_value(self, variable):
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            value = self.original_scope.get_current_value(variable)
        if value is None:
            # Private: `variable.value` would ask here again. Keras asks the
            # scope alone, and nobody else, for what a penalty is on.
            value = variable._value
        return value
