"""Test problems, and SciPy's way through them."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import pytest
from scipy import optimize

SCALES = np.logspace(0, 4, 10)


class Problem(NamedTuple):
    """A function of a vector, made of operators; its gradient; a start."""

    function: Callable
    gradient: Callable
    start: list

    def variable(self, dtype="float64"):
        return keras.Variable(np.array(self.start, dtype), dtype=dtype)

    def loss(self, variable):
        return lambda: self.function(variable.value)


def rosenbrock(w):
    return 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2


def beale(w):
    terms = zip((1.5, 2.25, 2.625), (1, 2, 3), strict=True)
    return sum((c - w[0] + w[0] * w[1] ** p) ** 2 for c, p in terms)


def beale_gradient(w):
    x, y = w
    gradient = np.zeros(2)
    for c, p in zip((1.5, 2.25, 2.625), (1, 2, 3), strict=True):
        inner = [y**p - 1, p * x * y ** (p - 1)]
        gradient += 2 * (c - x + x * y**p) * np.array(inner)
    return gradient


def himmelblau(w):
    return (w[0] ** 2 + w[1] - 11) ** 2 + (w[0] + w[1] ** 2 - 7) ** 2


def himmelblau_gradient(w):
    a, b = w[0] ** 2 + w[1] - 11, w[0] + w[1] ** 2 - 7
    return np.array([4 * w[0] * a + 2 * b, 2 * a + 4 * w[1] * b])


def quadratic(w):
    return sum(float(s) * w[i] ** 2 / 2 for i, s in enumerate(SCALES))


PROBLEMS = {
    "rosenbrock": Problem(rosenbrock, optimize.rosen_der, [-1.2, 1.0]),
    "beale": Problem(beale, beale_gradient, [1.0, 1.0]),
    "himmelblau": Problem(himmelblau, himmelblau_gradient, [0.0, 0.0]),
    "quadratic": Problem(quadratic, lambda w: SCALES * w, [1.0] * 10),
}


@pytest.fixture(scope="session")
def problems():
    return PROBLEMS


@pytest.fixture
def float64():
    """float64, which JAX has to be asked for."""
    if keras.config.backend() != "jax":
        yield
        return
    import jax

    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture(scope="session")
def by_scipy():
    def run(problem, method, **arguments):
        points = []
        result = optimize.minimize(
            problem.function,
            np.array(problem.start),
            jac=problem.gradient,
            method=method,
            callback=lambda x: points.append(x.copy()),
            **arguments,
        )
        return np.array(points), result

    return run


@pytest.fixture(scope="session")
def by_ours():
    def run(optimizer, problem, dtype="float64", **arguments):
        w, points = problem.variable(dtype), []
        minimum = optimizer.minimize(
            problem.loss(w),
            [w],
            callback=lambda report: points.append(w.numpy().copy()),
            **arguments,
        )
        np.testing.assert_array_equal(points[-1], w.numpy())
        return np.array(points), minimum

    return run
