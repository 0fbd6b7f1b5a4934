"""Gradients on whichever backend runs."""

import keras
import numpy as np
import pytest


@pytest.fixture(scope="session")
def wide():
    """The widest float dtype: JAX has no float64 unless asked to."""
    return "float32" if keras.config.backend() == "jax" else "float64"


@pytest.fixture(scope="session")
def gradient(wide):
    """Returns a function that differentiates a scalar function of a tensor."""

    def differentiate(function, x):
        x = keras.ops.convert_to_tensor(np.asarray(x, wide))
        match keras.config.backend():
            case "tensorflow":
                import tensorflow as tf

                with tf.GradientTape() as tape:
                    tape.watch(x)
                    y = function(x)
                found = tape.gradient(y, x)
            case "jax":
                import jax

                found = jax.grad(function)(x)
            case "torch":
                x.requires_grad_(True)
                function(x).backward()
                found = x.grad
        return keras.ops.convert_to_numpy(found)

    return differentiate


@pytest.fixture(scope="session")
def central_differences():
    """Returns a function that differentiates without a backend."""

    def differentiate(function, x, step=1e-6):
        x = np.asarray(x, "float64")
        found = np.empty_like(x)
        for i in np.ndindex(x.shape):
            moved = np.zeros_like(x)
            moved[i] = step
            found[i] = (function(x + moved) - function(x - moved)) / (2 * step)
        return found

    return differentiate
