import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import LBFGS
from keras_regimen.custom_optimizers.closure.closure_optimizer import State


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["rosenbrock", "quadratic"])
def test_iterates_and_counts_are_those_of_l_bfgs_b(
    name, problems, by_scipy, by_ours
):
    problem = problems[name]
    options = {"gtol": 1e-5, "ftol": 0, "maxcor": 10}
    points, result = by_scipy(problem, "L-BFGS-B", options=options)
    ours, minimum = by_ours(LBFGS(), problem)
    np.testing.assert_allclose(ours[:20], points[:20], rtol=1e-6, atol=1e-8)
    assert minimum.converged
    assert minimum.iterations <= result.nit
    assert minimum.evaluations <= result.nfev


def two_loops(gradient, pairs):
    """Liu and Nocedal's recursion, word for word."""
    q, alphas = gradient.copy(), []
    for s, y in reversed(pairs):
        alphas.append(s @ q / (s @ y))
        q -= alphas[-1] * y
    s, y = pairs[-1]
    r = s @ y / (y @ y) * q
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        r += s * (alpha - y @ r / (s @ y))
    return -r


# The last: older steps are still there, but were forgotten.
@pytest.mark.parametrize(("steps", "age"), [(3, 3), (9, 9), (9, 2)])
def test_the_direction_is_that_of_the_two_loop_recursion(steps, age):
    rng = np.random.default_rng(0)
    optimizer = LBFGS(history=4)
    memory = optimizer.empty_memory(6, "float32")
    root = rng.normal(size=(6, 6))
    points = rng.normal(size=(steps + 1, 6)).astype("float32")
    gradients = (points @ root @ root.T).astype("float32")
    states = [
        State(x, None, g, None, None, None, None)
        for x, g in zip(ops.array(points), ops.array(gradients), strict=True)
    ]
    for old, new in itertools.pairwise(states):
        memory = optimizer.updated(memory, old, new, None)
    state = State(
        states[-1].x,
        None,
        states[-1].gradient,
        None,
        ops.array(age),
        None,
        memory,
    )
    direction, products = optimizer.direction(None, state)
    pairs = list(
        zip(np.diff(points, axis=0), np.diff(gradients, axis=0), strict=False)
    )[-min(age, 4) :]
    expected = two_loops(gradients[-1].astype("float64"), pairs)
    np.testing.assert_allclose(
        ops.convert_to_numpy(direction), expected, rtol=2e-3, atol=1e-4
    )
    assert int(products) == 0


def test_one_step_of_history_is_enough_for_a_parabola():
    w = keras.Variable([5.0])
    minimum = LBFGS(history=1).minimize(lambda: ops.sum((w - 2) ** 2), [w])
    assert minimum.iterations <= 3
    np.testing.assert_allclose(w.numpy(), [2], atol=1e-5)


@pytest.mark.parametrize("history", [0, -1, 2.5])
def test_a_bad_history_says_what_was_received(history):
    with pytest.raises(ValueError, match=f"history={history}"):
        LBFGS(history=history)
