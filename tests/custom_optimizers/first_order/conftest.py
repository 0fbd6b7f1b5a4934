"""Twenty steps on given gradients, and what schedule-free ones should be."""

import keras
import numpy as np
import pytest
from keras import ops


@pytest.fixture(scope="session")
def wide():
    # JAX has float64 only where a process asks for it.
    return "float32" if keras.config.backend() == "jax" else "float64"


@pytest.fixture(scope="session")
def tolerance(wide):
    return 1e-5 if wide == "float32" else 1e-12


@pytest.fixture(scope="session")
def path(wide):
    """Returns a function: the weight after each step, and its average last."""

    def path(
        optimizer, weight, gradients, dtype=wide, name=None, average=False
    ):
        variable = keras.Variable(weight, dtype=dtype, name=name)
        found = []
        for gradient in gradients:
            gradient = ops.convert_to_tensor(gradient, dtype)
            optimizer.apply([gradient], [variable])
            found.append(ops.convert_to_numpy(variable).copy())
        if average:
            optimizer.use_averaged_weights([variable])
            found.append(ops.convert_to_numpy(variable).copy())
        return np.stack(found)

    return path


@pytest.fixture(scope="session")
def schedule_free():
    """Returns a function: the authors' y after each step, and x at the end."""

    def path(weight, directions, rate, beta, warmup, decay):
        x = y = z = weight
        largest = total = 0
        found = []
        for k, direction in enumerate(directions):
            current = rate * min((k + 1) / warmup if warmup else 1, 1)
            largest = max(largest, current)
            total += largest**2
            z = z - current * (direction + decay * y)
            c = largest**2 / total
            x = (1 - c) * x + c * z
            y = (1 - beta) * z + beta * x
            found.append(y)
        return [*found, x]

    return path


@pytest.fixture(scope="session")
def task():
    """A weight, and a gradient for each step."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 4)), rng.normal(size=(20, 3, 4))
