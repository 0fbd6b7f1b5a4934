import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.datasets import load_breast_cancer

from keras_regimen.custom_optimizers.autodiff import FlatVariables
from keras_regimen.recipes.optimization.second_order import (
    GOALS,
    MOST,
    cancer,
    digits_net,
    of_first_order,
    of_second_order,
)


def logistic(x, y):
    """Returns the loss and the gradient in plain NumPy."""
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)

    def loss(w):
        z = x @ w
        gradient = x.T @ (expit(z) - y[:, 0]) / len(y)
        return np.mean(np.logaddexp(0, z) - y[:, 0] * z), gradient

    return loss


def test_the_loss_is_that_of_logistic_regression_on_rows_as_they_are():
    net, loss, x, y = cancer(0)
    assert np.linalg.cond(x.T @ x) > 1e9
    rows = {tuple(row) for row in load_breast_cancer().data}
    assert all(tuple(row) in rows for row in x)
    kernel = np.random.default_rng(0).normal(size=(30, 1)) / 1000
    net.set_weights([kernel, np.array([0.5])])
    expected, _ = logistic(x, y)(np.append(kernel[:, 0], 0.5))
    assert float(loss(y, net(x))) == pytest.approx(expected, rel=1e-9)


def test_both_goals_are_far_above_what_can_be_reached():
    """A goal that is the minimum would measure rounding."""
    _, _, x, y = cancer(1)
    found = minimize(logistic(x, y), np.zeros(31), jac=True, method="BFGS")
    assert 0 <= found.fun < 0.9 * GOALS["cancer"]


def test_a_net_starts_from_weights_that_the_seed_decides():
    first, again, other = (digits_net(seed)[0] for seed in (3, 3, 4))
    for a, b, c in zip(
        *(net.get_weights() for net in (first, again, other)), strict=True
    ):
        np.testing.assert_array_equal(a, b)
        assert a.ndim == 1 or np.abs(a - c).max() > 0.01
    assert FlatVariables(first.trainable_variables).size == 2410


@pytest.mark.slow
def test_evaluations_are_about_those_of_scipys_lbfgs():
    found = of_second_order("lbfgs", "cancer", GOALS["cancer"], 0)
    _, _, x, y = cancer(0)
    values = []

    def recorded(w):
        value, gradient = logistic(x, y)(w)
        values.append(value)
        return value, gradient

    minimize(recorded, np.zeros(31), jac=True, method="L-BFGS-B")
    theirs = next(i for i, v in enumerate(values, 1) if v <= GOALS["cancer"])
    assert found["never_on_cancer"] == 0
    assert abs(found["log2_evaluations_on_cancer"] - math.log2(theirs)) < 1


@pytest.mark.slow
def test_a_goal_that_is_not_reached_counts_as_all_evaluations():
    # Newton's method spends 32 at a time, and so not 600 exactly.
    found = of_second_order("newton", "cancer", -1.0, 0)
    assert found["never_on_cancer"] == 1
    assert found["log2_evaluations_on_cancer"] == np.log2(MOST)


def test_first_order_counts_a_gradient_for_each_step():
    # The first step of Adam changes each weight by the rate, whatever it is:
    # so the loss falls below its start, log 2, at once.
    found = of_first_order("adam", "cancer", 0.99 * math.log(2), 0)
    assert found == {"log2_evaluations_on_cancer": 0, "never_on_cancer": 0}
