import numpy as np
import pytest

from keras_regimen.custom_layers import (
    MeanOnlyBatchNormalization,
    UnbiasedBatchNormalization,
    WeightNormalization,
)
from keras_regimen.recipes.normalization.weight_norm import recipe


def count(model, kind):
    return sum(type(layer) is kind for layer in model.layers)


@pytest.mark.parametrize(
    ("arm", "weights", "mean_only", "batch_norm"),
    [
        ("plain", 0, 0, 0),
        ("weight_norm", 4, 0, 0),
        ("weight_norm_as_drawn", 4, 0, 0),
        ("mean_only", 0, 4, 0),
        ("weight_norm_mean_only", 4, 4, 0),
        ("batch_norm", 0, 0, 4),
        ("plain_fast", 0, 0, 0),
        ("weight_norm_fast", 4, 0, 0),
        ("batch_norm_fast", 0, 0, 4),
    ],
)
def test_an_arm_normalizes_what_it_is_about(
    built, arm, weights, mean_only, batch_norm
):
    model = built(arm)
    assert count(model, WeightNormalization) == weights
    assert count(model, MeanOnlyBatchNormalization) == mean_only
    assert count(model, UnbiasedBatchNormalization) == batch_norm


def test_without_the_data_dependent_start_the_nets_start_equal(built, splits):
    x = splits.train[0][:50]
    expected = np.array(built("plain")(x, training=True))
    found = np.array(built("weight_norm_as_drawn")(x, training=True))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    other = np.array(built("weight_norm")(x, training=True))
    assert not np.allclose(other, expected, atol=1e-2)


def test_the_data_dependent_start_standardizes_every_hidden_unit(built, splits):
    x = splits.train[0][:50]
    model = built("weight_norm")
    model(x, training=True)
    outputs = x
    for layer in model.layers[1:-1]:
        outputs = np.array(layer(outputs))
        if isinstance(layer, WeightNormalization):
            # A ReLU that is 0 for all 50 images leaves a unit as it is.
            varies = outputs.std(axis=0) > 1e-3
            assert varies.mean() > 0.9
            np.testing.assert_allclose(outputs.mean(axis=0), 0, atol=1e-3)
            np.testing.assert_allclose(
                outputs.std(axis=0)[varies], 1, atol=1e-2
            )


def test_the_learning_rate_falls_to_0_over_the_budget(built):
    cpu = recipe.at("cpu")
    schedule = built("plain").optimizer.get_config()["learning_rate"]["config"]
    assert schedule["decay_steps"] == cpu.epochs * cpu.steps_per_epoch == 600
    assert schedule["alpha"] == 0


def test_fast_arms_share_a_learning_rate_that_no_search_chose():
    fast = [arm for name, arm in recipe.arms.items() if name.endswith("fast")]
    assert len(fast) == 3
    assert {arm.on()["learning_rate"] for arm in fast} == {0.1}
    assert not any(arm.tuned for arm in fast)
