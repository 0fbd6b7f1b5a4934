import numpy as np
import pytest
from sklearn.linear_model import Ridge

from keras_regimen.recipes.harness import diabetes
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.regularization.noise_as_ridge import (
    measure,
    recipe,
    ridge,
)


@pytest.mark.parametrize("penalty", [0.0, 22.5])
def test_the_closed_form_is_that_of_scikit_learn(penalty):
    x, y = (array.astype("float64") for array in diabetes()(0).train)
    model = Ridge(alpha=penalty, fit_intercept=False).fit(x, y)
    found = ridge(x, y, penalty)[:, 0]
    np.testing.assert_allclose(found, np.ravel(model.coef_), rtol=1e-9)


@pytest.mark.slow
def test_without_noise_the_net_nears_least_squares_and_with_it_ridge():
    gaps = [measure(HyperParameters({"stddev": s}), 1) for s in (0.0, 0.3)]
    # Without noise both closed forms are one.
    assert gaps[0]["gap_to_ridge"] == gaps[0]["gap_to_least_squares"] < 0.02
    assert gaps[1]["gap_to_ridge"] < 0.02
    assert gaps[1]["gap_to_least_squares"] > 0.1


def test_the_tolerance_tells_ridge_from_least_squares():
    """A claim that either regression would meet said nothing."""
    for claim in recipe.claims:
        stddev = recipe.arms[claim.arm].on()["stddev"]
        for seed in range(recipe.at("cpu").seeds):
            x, y = (array.astype("float64") for array in diabetes()(seed).train)
            ours, other = (ridge(x, y, len(x) * s**2) for s in (stddev, 0.0))
            gap = np.linalg.norm(ours - other) / np.linalg.norm(ours)
            assert gap > 1.5 * claim.at_most
