import numpy as np
import pytest
from sklearn.linear_model import Ridge

from keras_regimen.recipes.harness import diabetes
from keras_regimen.recipes.regularization import early_stopping_as_l2 as recipe

RATE = 0.01


@pytest.fixture(scope="module")
def splits():
    return diabetes()(1)


@pytest.fixture(scope="module")
def path(splits):
    return recipe.descent_path(*splits.train, RATE)


def test_the_closed_form_is_that_of_scikit_learn(splits):
    x, y = (array.astype("float64") for array in splits.train)
    penalties = np.array([0.02, 1.0, 30.0])
    found = recipe.ridge_path(x, y, penalties)
    for weights, penalty in zip(found, penalties, strict=True):
        # Its loss is the sum of squares, ours with alpha / 2 |w|^2 the mean.
        model = Ridge(alpha=len(x) * penalty / 2, fit_intercept=False)
        expected = model.fit(x, y[:, 0]).coef_
        np.testing.assert_allclose(weights, expected, rtol=1e-9)


def test_the_net_follows_the_closed_form_of_gradient_descent(splits, path):
    times, descended = path
    x, y = (array.astype("float64") for array in splits.train)
    hessian, slope = recipe.curvature(x, y)
    eigenvalues, basis = np.linalg.eigh(hessian)
    for i in (0, 19, 20, 59):
        updates = times[i] / RATE
        # w = (1 - (1 - eps lambda)^tau) / lambda, in the Hessian's basis.
        filtered = 1 - (1 - RATE * eigenvalues) ** updates
        expected = basis @ (filtered / eigenvalues * (basis.T @ slope))
        np.testing.assert_allclose(descended[i], expected, atol=2e-5)


def test_the_tolerances_could_be_missed(splits, path):
    """Least squares, or penalties of another scale, are no such path."""
    times, descended = path
    x, y = (array.astype("float64") for array in splits.train)

    def cosine_gap(penalties):
        other = recipe.ridge_path(x, y, penalties)
        products = np.sum(descended * other, axis=1)
        norms = recipe.lengths(descended) * recipe.lengths(other)
        return 1 - np.min(products / norms)

    assert cosine_gap(1 / times) < 0.01
    for penalties in (1e-9 / times, 16 / times, 1 / (16 * times)):
        assert cosine_gap(penalties) > 0.01
