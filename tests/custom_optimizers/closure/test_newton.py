import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import BacktrackingLineSearch, Newton


def quadratic(size=6, seed=0):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size))
    hessian = (root @ root.T + np.eye(size)).astype("float32")
    w = keras.Variable(rng.normal(size=size).astype("float32"))

    def loss():
        return ops.sum((w - 1) * ops.matmul(hessian, w - 1)) / 2

    return w, loss


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"line_search": None},
        {"saddle_free": True, "line_search": BacktrackingLineSearch()},
        {"saddle_free": True, "dense_limit": 0},
    ],
)
def test_one_step_solves_a_quadratic(arguments):
    w, loss = quadratic()
    Newton(**arguments).minimize(loss, [w], max_iterations=1)
    np.testing.assert_allclose(w.numpy(), np.ones(6), atol=2e-5)


def test_damping_shortens_the_step_as_on_paper():
    w = keras.Variable([3.0, 4.0])
    scales = ops.array([2.0, 8.0])
    Newton(damping=2.0, line_search=None).minimize(
        lambda: ops.sum(scales * w * w) / 2, [w], max_iterations=1
    )
    # w - w h / (h + 2).
    np.testing.assert_allclose(w.numpy(), [1.5, 0.8], rtol=1e-5)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("name", "dense_limit"),
    [("rosenbrock", 0), ("rosenbrock", 200), ("quadratic", 0)],
)
def test_counts_are_no_worse_than_those_of_newton_cg(
    name, dense_limit, problems, by_scipy, by_ours
):
    problem = problems[name]

    def hessian(x):
        if name == "quadratic":
            return np.diag(problem.gradient(np.ones(10)))
        from scipy.optimize import rosen_hess

        return rosen_hess(x)

    _, result = by_scipy(problem, "Newton-CG", hess=hessian)
    optimizer = Newton(dense_limit=dense_limit)
    points, minimum = by_ours(optimizer, problem)
    assert minimum.converged
    assert minimum.iterations <= result.nit
    expected = np.ones(2) if name == "rosenbrock" else np.zeros(10)
    np.testing.assert_allclose(points[-1], expected, atol=1e-4)


def saddle(w):
    return w[0] ** 2 - w[1] ** 2 + w[1] ** 4 / 4


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"line_search": None}, [0, 0]),  # Drawn to the saddle point.
        ({}, [0, 2**0.5]),
        ({"saddle_free": True}, [0, 2**0.5]),
        ({"saddle_free": True, "dense_limit": 0}, [0, 2**0.5]),
    ],
)
def test_only_pure_newton_ends_in_a_saddle(arguments, where):
    w = keras.Variable([1.0, 1e-3])
    minimum = Newton(**arguments).minimize(
        lambda: saddle(w), [w], max_iterations=30, tolerance=1e-4
    )
    assert minimum.converged
    np.testing.assert_allclose(w.numpy(), where, atol=1e-3)


def test_products_with_the_hessian_count():
    w, loss = quadratic(size=6)
    reports = []
    Newton().minimize(loss, [w], max_iterations=1, callback=reports.append)
    # The first gradient, six products and the gradient at the step.
    assert reports[0].evaluations == 8


def test_pure_newton_refuses_more_weights_than_it_can_solve_for():
    w = keras.Variable(np.ones(5, "float32"))
    optimizer = Newton(line_search=None, dense_limit=4)
    with pytest.raises(ValueError, match="5 weights, with dense_limit=4"):
        optimizer.minimize(lambda: ops.sum(w * w), [w])


@pytest.mark.parametrize(
    "arguments",
    [
        {"damping": -1},
        {"damping": float("nan")},
        {"dense_limit": -1},
        {"lanczos_steps": 0},
    ],
)
def test_bad_arguments_say_what_was_received(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=re.escape(f"{name}={value}")):
        Newton(**arguments)
