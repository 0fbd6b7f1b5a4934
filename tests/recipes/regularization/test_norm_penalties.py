import numpy as np
import pytest
from sklearn.linear_model import Lasso, Ridge

from keras_regimen.recipes.harness import diabetes
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.regularization.norm_penalties import (
    METHODS,
    STRENGTH,
    measure,
    recipe,
    shrunk,
)


def rows(seed):
    x, y = (array.astype("float64") for array in diabetes()(seed).train)
    return x, y[:, 0] - y.mean()


@pytest.mark.parametrize("strength", [0.0, 0.2])
def test_the_shrunk_components_are_those_of_scikit_learns_ridge(strength):
    x, y = rows(0)
    components, directions = shrunk(x, y, strength)
    model = Ridge(alpha=len(x) * strength, fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(
        directions @ components, model.coef_, rtol=1e-6, atol=1e-9
    )


def test_the_tolerance_tells_shrinkage_from_other_solutions():
    """A claim that plain least squares would meet said nothing."""
    for seed in range(recipe.at("cpu").seeds):
        x, y = rows(seed)
        ours, plain = (shrunk(x, y, s)[0] for s in (STRENGTH, 0.0))
        gap = np.linalg.norm(ours - plain) / np.linalg.norm(ours)
        assert gap > 100 * recipe.claims[0].at_most
        # One factor for all directions would not do either.
        factor = (ours @ plain) / (plain @ plain)
        gap = np.linalg.norm(ours - factor * plain) / np.linalg.norm(ours)
        assert gap > 100 * recipe.claims[0].at_most


def test_the_lasso_has_zeros_and_others_in_every_seed():
    for seed in range(recipe.at("cpu").seeds):
        x, y = rows(seed)
        zeros = (Lasso(alpha=STRENGTH / 2).fit(x, y).coef_ == 0).sum()
        assert 2 <= zeros <= 8


@pytest.mark.slow
def test_each_method_does_what_is_claimed_of_it_and_the_others_do_not():
    found = {m: measure(HyperParameters({"method": m}), 1) for m in METHODS}
    gaps = {m: found[m]["gap_to_shrinkage"] for m in METHODS}
    assert gaps["l2"] < 1e-3 < 0.05 < gaps["l1_proximal"]
    assert found["l1_proximal"]["zeros"] == found["l2"]["zeros_of_lasso"] > 0
    assert found["l1_proximal"]["zeros_unlike_lasso"] == 0
    assert found["l1_adam"]["zeros"] == found["l2"]["zeros"] == 0
    assert found["l2"]["gap_of_bias"] < 1e-3
    assert found["l2_on_biases"]["gap_of_bias"] > 0.1
    assert found["l2_on_biases"]["gap_of_shrunk_bias"] < 1e-3
