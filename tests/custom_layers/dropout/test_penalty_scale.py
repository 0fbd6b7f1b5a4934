import numpy as np
import pytest

from keras_regimen.custom_layers.dropout.penalty_scale import penalty_scale


def test_scale_turns_the_negative_evidence_bound_into_the_loss():
    rng = np.random.default_rng(0)
    y, prediction, divergence = rng.normal(size=50), rng.normal(size=50), 7.0
    for precision in (0.5, 3.0):
        squares = (y - prediction) ** 2
        likelihood = 0.5 * np.log(precision / (2 * np.pi))
        likelihood = likelihood - precision / 2 * squares
        bound = likelihood.sum() - divergence
        # Of two bounds, the losses differ in the same proportion.
        loss = squares.mean() + penalty_scale(50, precision) * divergence
        constant = np.log(precision / (2 * np.pi)) / precision
        np.testing.assert_allclose(
            loss, constant - 2 / (precision * 50) * bound, rtol=1e-12
        )
    loss = -likelihood.mean() + penalty_scale(50, None) * divergence
    np.testing.assert_allclose(loss, -bound / 50, rtol=1e-12)


@pytest.mark.parametrize("size", [0, -5, 10.0, None, "all"])
def test_bad_dataset_size_says_what_was_received(size):
    with pytest.raises(ValueError, match=f"dataset_size={size}"):
        penalty_scale(size, None)


@pytest.mark.parametrize("precision", [0, -1, float("nan"), float("inf"), "a"])
def test_bad_precision_says_what_was_received(precision):
    with pytest.raises(ValueError, match=f"precision={precision}"):
        penalty_scale(10, precision)
