import numpy as np
import pytest
from keras import ops
from sklearn.linear_model import Lasso

from keras_regimen.recipes.harness import diabetes
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.optimization.coordinate_descent import (
    SOLVERS,
    coordinate_pass,
    measure,
    passes_in_valley,
    recipe,
)

HESSIAN = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 4.0]])
SLOPE = np.array([1.0, -2.0, 0.5])


def test_a_pass_by_hand():
    # 1/2 x1^2 + x1 x2 / 2 + x2^2 - 2 x1 - x2, with strength 0.5, from (1, 1):
    # x1 = 2 - 0.5 - 0.5 = 1, then x2 = (1 - 0.5 - 0.5) / 2 = 0.
    hessian = ops.array([[1.0, 0.5], [0.5, 2.0]])
    weights = coordinate_pass(ops.ones(2), hessian, ops.array([2.0, 1.0]), 0.5)
    np.testing.assert_allclose(weights, [1.0, 0.0])
    # x1 = 4 + 0.5 - 0.5 = 4 with the signs turned.
    weights = coordinate_pass(-ops.ones(2), hessian, ops.array([4.0, 9.0]), 0.5)
    np.testing.assert_allclose(weights, [4.0, (9 - 2 - 0.5) / 2])


@pytest.mark.parametrize("method", SOLVERS)
def test_without_a_penalty_both_solve_the_linear_system(method):
    weights, passes = SOLVERS[method](np.zeros(3), HESSIAN, SLOPE, 0.0, 1e-12)
    np.testing.assert_allclose(weights, np.linalg.solve(HESSIAN, SLOPE))
    assert passes > 3


@pytest.mark.parametrize("method", SOLVERS)
def test_the_path_starts_where_all_weights_become_zero(method):
    solve, largest = SOLVERS[method], np.abs(SLOPE).max()
    weights, _ = solve(np.ones(3), HESSIAN, SLOPE, largest, 1e-12)
    np.testing.assert_allclose(weights, 0, atol=1e-10)
    weights, _ = solve(np.ones(3), HESSIAN, SLOPE, 0.99 * largest, 1e-12)
    assert np.count_nonzero(np.abs(weights) > 1e-4) == 1


def test_the_path_goes_from_few_weights_to_all_or_nearly():
    for seed in range(3):
        x, y = (array.astype("float64") for array in diabetes()(seed).train)
        y = y[:, 0] - y.mean()
        largest = np.abs(x.T @ y).max() / len(x)
        counts = [
            np.count_nonzero(Lasso(share * largest).fit(x, y).coef_)
            for share in (0.8, 0.3, 0.01)
        ]
        assert 1 <= counts[0] <= 2 < counts[1] < 8 <= counts[2]


def test_passes_in_the_valley_are_as_many_as_the_recursion_says():
    # Each of two updates in a pass divides by 1 + alpha what the other left.
    for alpha in (0.1, 0.01):
        x, moved, passes = np.array([2.0, 1.0]), 1.0, 0
        while moved > alpha * 1e-6:
            new = x[1] / (1 + alpha) * np.array([1, 1 / (1 + alpha)])
            x, moved, passes = new, np.abs(new - x).max(), passes + 1
        found = passes_in_valley(SOLVERS["coordinate"], [2.0, 1.0], alpha)
        assert abs(found - passes) <= 1
        assert passes > 5 / alpha


@pytest.mark.slow
def test_the_control_is_the_same_lasso_and_crawls_in_both_valleys():
    found = {
        name: measure(HyperParameters(arm.on()), 0)
        for name, arm in recipe.arms.items()
    }
    ours, control = found["coordinate_descent"], found["proximal_gradient"]
    assert ours["gap_to_lasso"] < 1e-7 > control["gap_to_lasso"]
    assert ours["log2_passes"] < control["log2_passes"] - 1
    assert ours["log2_passes"] < found["cold_starts"]["log2_passes"]
    # A turn of the axes is nothing to gradients, and all to coordinates.
    assert ours["passes_in_turned_valley"] == 2
    assert control["passes_in_turned_valley"] > 5000
    assert ours["passes_in_coupled_valley"] > 5000
