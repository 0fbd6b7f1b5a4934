import math

import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.optimization.ill_conditioning import (
    COUNTERS,
    RATE,
    REDUCTION,
    SIZE,
    measure,
    quadratic,
    recipe,
    training,
)


def test_the_quadratics_have_the_condition_that_they_are_asked_for():
    for seed in range(3):
        hessian, _ = quadratic(1000, np.random.default_rng(seed))
        assert np.linalg.cond(hessian) == pytest.approx(1000)
        np.testing.assert_allclose(hessian, hessian.T, atol=1e-15)
        # Turned, so that no method finds the axes.
        assert np.abs(hessian - np.diag(np.diag(hessian))).max() > 0.01


@pytest.mark.parametrize("kappa", [10, 1000])
def test_gradient_descent_takes_the_steps_that_its_rate_implies(kappa):
    # The two ends of the spectrum shrink by (kappa - 1) / (kappa + 1).
    hessian = np.diag([1.0, 1 / kappa])
    factor = (kappa - 1) / (kappa + 1)
    steps = math.ceil(math.log(REDUCTION) / math.log(factor))
    assert COUNTERS["gradient_descent"](hessian, kappa, [1.0, 1.0]) == steps


def test_momentum_takes_about_the_steps_that_its_decay_implies():
    # Each step shrinks the distance by 1 - 2 / (root + 1), up to a factor of
    # the number of steps.
    for kappa in (100, 10_000):
        factor = 1 - 2 / (kappa**0.5 + 1)
        least = math.log(REDUCTION) / math.log(factor)
        hessian = np.diag(np.geomspace(1, 1 / kappa, 5))
        found = COUNTERS["momentum"](hessian, kappa, np.ones(5))
        assert least < found < 2 * least


def test_conjugate_gradients_end_with_the_number_of_different_curvatures():
    for curvatures in ([2, 2, 2, 2], [1, 5, 5, 1], [1, 2, 3, 3], [1, 2, 3, 4]):
        hessian = np.diag(np.asarray(curvatures, "float64"))
        steps = COUNTERS["conjugate_gradients"](hessian, 4, np.arange(1.0, 5))
        assert steps == len(set(curvatures))


def test_without_ill_conditioning_all_methods_take_one_step():
    hessian, start = quadratic(1, np.random.default_rng(0))
    for count in COUNTERS.values():
        assert count(hessian, 1, start) == 1


def test_training_reports_the_products_of_the_plain_algebra():
    # A softmax of two classes from weights 0: p = 1/2, and the Hessian in the
    # direction v of the kernel is mean((x v_1 - x v_0)^2) / 4.
    x, y = np.array([[1.0], [3.0]], "float32"), np.array([0, 1])
    net = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(2, use_bias=False, kernel_initializer="zeros"),
        ]
    )
    loss, length, bend = training(net, x, y, np.array([[0, 1], [0, 0]]))
    # Gradient by class: mean of x (p - onehot) = ((-1 + 3) / 4, (1 - 3) / 4).
    assert length[0] == pytest.approx(math.sqrt(0.5))
    assert bend[0] == pytest.approx((1 + 9) / 2 / 4)
    assert loss[0] == pytest.approx(math.log(2))
    # After a step the logits of x = 1 differ by RATE.
    assert loss[1] == pytest.approx(math.log(1 + math.exp(RATE)), rel=1e-5)


@pytest.mark.slow
def test_each_arm_does_what_is_claimed_and_others_do_not():
    found = {
        name: measure(HyperParameters(arm.on()), 0)
        for name, arm in recipe.arms.items()
    }
    descent, momentum = found["gradient_descent"], found["momentum"]
    assert descent["gap_to_kappa"] < 0.1 < descent["gap_to_root"]
    assert momentum["gap_to_root"] < 0.1 < momentum["gap_to_kappa"]
    assert descent["most_steps"] > 20 * momentum["most_steps"] > 1000
    assert found["newton"]["most_steps"] == 1
    assert found["conjugate_gradients"]["most_steps"] == SIZE
    assert found["condition_number"]["gap_of_condition_number"] < 1e-6
    assert found["net"]["change_of_loss"] < -1
