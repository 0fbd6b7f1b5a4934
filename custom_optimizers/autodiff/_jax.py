"""Derivatives and compilation on JAX."""

import jax
import keras
from jax import numpy as jnp


def value_and_gradient(function, x):
    """Returns the value of a scalar function at `x`, and its gradient."""
    return jax.value_and_grad(function)(x)


def hessian_vector_product(function, x, vector):
    """Returns the product of a function's Hessian at `x` with a vector."""
    return jax.jvp(jax.grad(function), (x,), (vector,))[1]


def compiled(function, jit_compile=True):
    """Compiles a function that reads and assigns Keras variables.

    `jax.jit` compiles pure functions alone: so the variables that the function
    touches become arguments and results. Which those are, a first abstract
    call finds out.
    """
    if not jit_compile:
        return function
    touched = _Recorder()

    @jax.jit
    def pure(values, *arguments):
        known = zip(touched.variables.values(), values, strict=True)
        with keras.StatelessScope(list(known), collect_losses=True) as scope:
            result = function(*arguments)
        updates = [scope.get_current_value(v) for v in touched.updated.values()]
        return result, updates

    def call(*arguments):
        if not touched.variables:
            with touched:
                jax.eval_shape(function, *arguments)
        values = [variable.value for variable in touched.variables.values()]
        result, updates = pure(values, *arguments)
        pairs = zip(touched.updated.values(), updates, strict=True)
        for variable, value in pairs:
            variable.assign(value)
        return result

    return call


class _Recorder(keras.StatelessScope):
    """Remembers the variables that are read and assigned inside."""

    def __init__(self):
        super().__init__(collect_losses=True)
        self.variables = {}
        self.updated = {}

    def get_current_value(self, variable):
        self.variables[id(variable)] = variable
        value = super().get_current_value(variable)
        # Private: `variable.value` would ask here again.
        return variable._value if value is None else value

    def add_update(self, update):
        variable, _ = update
        self.variables[id(variable)] = variable
        self.updated[id(variable)] = variable
        super().add_update(update)


def is_eager():
    """Whether values are known now, so that Python can decide by them."""
    # While JAX traces, even a constant becomes a tracer once it is used.
    return not isinstance(jnp.zeros(()) + 0, jax.core.Tracer)
