import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import Newton
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.optimization.saddle_points import (
    ITERATIONS,
    PLANE_RATE,
    STEPS,
    descent,
    measure,
    negative_share,
    newton_run,
    plateau,
    recipe,
)


def saddle(start):
    point = keras.Variable(start, dtype="float64")

    def loss():
        x, y = point[0], point[1]
        return x**2 - y**2 + y**4 / 4

    return loss, point


def test_descent_is_gradient_descent_with_momentum():
    loss, point = saddle([1.0, 0.5])
    taken = descent(loss, [point])(0.1, 0.9, -10.0, most=3)
    x, velocity = np.array([1.0, 0.5]), np.zeros(2)
    for _ in range(3):
        gradient = np.array([2 * x[0], -2 * x[1] + x[1] ** 3])
        velocity = 0.9 * velocity - 0.1 * gradient
        x = x + velocity
    assert taken == 3
    np.testing.assert_allclose(point.numpy(), x, rtol=1e-12)


def test_steps_off_the_ridge_are_as_many_as_the_growth_of_y_implies():
    # While y is small it grows by 1.2 each step; then it is 1.4 from 0.
    loss, point = saddle([0.0, 1e-6])
    count = descent(loss, [point])
    steps = count(PLANE_RATE, 0.0, -0.1)
    # f = -0.1 where y^2 = 0.103.
    assert steps == pytest.approx(math.log(0.32 / 1e-6) / math.log(1.2), abs=1)


def test_a_diverged_descent_is_no_goal_reached():
    loss, point = saddle([1.0, 0.5])
    assert descent(loss, [point])(10.0, 0.0, -0.9) == STEPS


def test_newton_converges_to_the_saddle_and_never_reaches_the_goal():
    loss, point = saddle([1.0, 1e-3])
    found = newton_run(Newton(line_search=None), loss, [point], -0.9)
    assert found[0] == ITERATIONS
    np.testing.assert_allclose(point.numpy(), 0, atol=1e-12)


def test_the_plateau_is_flat_and_its_loss_that_of_the_class_frequencies():
    loss, weights, entropy = plateau(0)
    assert sum(math.prod(w.shape) for w in weights) == 226
    assert float(loss()) == pytest.approx(entropy, abs=1e-4)
    assert 2.2 < entropy < math.log(10)


def test_the_share_of_negative_eigenvalues_of_a_hand_made_hessian():
    w = keras.Variable(np.ones(4))
    curvatures = np.array([-3.0, -1e-6, 0.0, 2.0], "float32")
    share = negative_share(lambda: ops.sum(curvatures * w.value**2), [w])
    assert share() == 0.25


def test_on_the_plateau_each_unit_has_as_many_ways_down_as_up():
    # There only inputs and outputs of a unit are coupled, by a matrix of
    # rank 9 (ten classes whose slopes sum to 0): 9 ways up and 9 down.
    loss, weights, _ = plateau(1)
    assert negative_share(loss, weights)() == pytest.approx(8 * 9 / 226)


@pytest.mark.slow
def test_each_arm_does_what_is_claimed_of_it_and_the_others_do_not():
    found = {
        name: measure(HyperParameters(recipe.arms[name].on()), 0)
        for name in ("gradient_descent", "newton", "saddle_free_newton")
    }
    assert found["newton"]["distance_to_saddle"] < 1e-6
    assert found["newton"]["most_steps_in_plane"] == ITERATIONS
    free, first = found["saddle_free_newton"], found["gradient_descent"]
    assert free["never"] == first["never"] == 0
    assert free["log2_iterations"] < first["log2_iterations"] - 1
    # It costs a product for each of the weights.
    assert free["log2_evaluations"] > math.log2(226 * free["iterations"])
    for arm in (free, first):
        assert arm["distance_to_saddle"] == pytest.approx(2**0.5, rel=0.03)
    assert free["most_steps_in_plane"] < 10 < first["most_steps_in_plane"]
    assert first["gap_of_growth"] < 0.01
