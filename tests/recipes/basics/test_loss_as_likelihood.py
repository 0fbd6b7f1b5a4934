import keras
import numpy as np
import pytest
from keras import ops
from scipy.stats import norm
from sklearn.linear_model import BayesianRidge, LinearRegression, Ridge

from keras_regimen.recipes.basics.loss_as_likelihood import (
    gap,
    log_density,
    measure,
    most_probable,
    recipe,
    rows,
)
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)

TOLERANCE = max(claim.at_most for claim in recipe.claims if claim.at_most < 1)


def variances(x, y):
    bayes = BayesianRidge(max_iter=1000, tol=1e-10).fit(x, y[:, 0])
    return 1 / bayes.alpha_, 1 / bayes.lambda_, bayes


def test_the_density_is_that_of_scipy():
    values = np.array([[0.5], [-1.0], [2.0]])
    variance = ops.convert_to_tensor(0.3, "float64")
    np.testing.assert_allclose(
        float(log_density(ops.convert_to_tensor(values), variance)),
        norm.logpdf(values, scale=np.sqrt(0.3)).sum(),
        rtol=1e-12,
    )


def test_the_posterior_is_that_of_the_book():
    """Equations 3.53 and 3.54, for centred data."""
    x, y = rows(0)
    noise, prior, bayes = variances(x, y)
    centred = x - x.mean(axis=0)
    covariance = np.linalg.inv(
        centred.T @ centred / noise + np.eye(x.shape[1]) / prior
    )
    np.testing.assert_allclose(bayes.sigma_, covariance, rtol=1e-6)
    mean = covariance @ centred.T @ (y[:, 0] - y.mean()) / noise
    np.testing.assert_allclose(bayes.coef_, mean, rtol=1e-6)


def test_the_tolerance_tells_the_penalties_apart():
    """A claim that half of the penalty would meet said nothing."""
    for seed in range(recipe.at("cpu").seeds):
        x, y = rows(seed)
        noise, prior, _ = variances(x, y)
        ours = Ridge(alpha=noise / prior).fit(x, y[:, 0]).coef_
        half = Ridge(alpha=noise / prior / 2).fit(x, y[:, 0]).coef_
        none = LinearRegression().fit(x, y[:, 0]).coef_
        assert gap(half, ours) > 10 * TOLERANCE
        assert gap(none, ours) > 100 * TOLERANCE


def test_a_given_variance_stays_and_a_free_one_is_the_mean_square():
    x, y = rows(0)
    assert most_probable(x, y, 0.7, 0.1)[2] == pytest.approx(0.7, rel=1e-12)
    kernel, bias, variance = most_probable(x, y)
    residuals = y - x @ kernel - bias
    # Not what divides by the degrees of freedom.
    assert variance == pytest.approx(np.mean(residuals**2), rel=1e-9)
    unbiased = np.sum(residuals**2) / (len(x) - x.shape[1] - 1)
    assert variance < 0.97 * unbiased


def test_half_of_the_penalty_is_seen(monkeypatch):
    hp = HyperParameters({"method": "l2"})
    figures = measure(hp, 1)
    assert figures["gap_to_ridge"] < TOLERANCE
    assert figures["gap_of_covariance"] < TOLERANCE
    whole = keras.regularizers.L2
    monkeypatch.setattr(keras.regularizers, "L2", lambda s: whole(s / 2))
    figures = measure(hp, 1)
    assert figures["gap_to_ridge"] > 10 * TOLERANCE
    assert figures["gap_of_covariance"] > 10 * TOLERANCE
