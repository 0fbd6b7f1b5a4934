"""Copies of JAX arrays, made in the memory of earlier copies."""

import functools
from typing import Any

import jax
import jax.numpy as jnp


def copies(variables: list[Any], into: list[Any]) -> list[Any]:
    """Returns copies of Keras variables, and gives those of `into` away."""
    return _copies([variable.value for variable in variables], into)


# Fresh memory costs several times the copying. XLA reuses what is donated.
@functools.partial(jax.jit, donate_argnums=1, keep_unused=True)
def _copies(arrays: list[jax.Array], into: list[jax.Array]) -> list[jax.Array]:
    del into
    return [jnp.copy(array) for array in arrays]
