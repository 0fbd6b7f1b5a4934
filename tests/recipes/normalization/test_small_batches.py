import keras
import numpy as np
import pytest

from keras_regimen.custom_layers import (
    BatchRenormalization,
    GhostBatchNormalization,
    UnbiasedBatchNormalization,
)
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.normalization.small_batches import recipe


def normalizations(model):
    return [layer for layer in model.layers if "normal" in layer.name]


@pytest.mark.parametrize(
    ("arm", "kind", "batch_size"),
    [
        ("batch_norm", UnbiasedBatchNormalization, 4),
        ("keras_batch_norm", keras.layers.BatchNormalization, 4),
        ("batch_renorm", BatchRenormalization, 4),
        ("no_ramp", BatchRenormalization, 4),
        ("group_norm", keras.layers.GroupNormalization, 4),
        ("layer_norm", keras.layers.LayerNormalization, 4),
        ("batch_norm_32", UnbiasedBatchNormalization, 32),
        ("batch_renorm_32", BatchRenormalization, 32),
        ("ghosts_of_4", GhostBatchNormalization, 32),
        ("batch_norm_fast", UnbiasedBatchNormalization, 4),
        ("batch_renorm_fast", BatchRenormalization, 4),
        ("keras_renorm_fast", keras.layers.BatchNormalization, 4),
    ],
)
def test_an_arm_normalizes_each_hidden_layer_in_its_batches(
    built, arm, kind, batch_size
):
    found = [type(layer) for layer in normalizations(built(arm))]
    assert found == [kind] * 3
    hp = HyperParameters(recipe.arms[arm].on())
    assert recipe.at("cpu").batch_size(hp) == batch_size


def test_the_ramp_ends_within_the_updates(built):
    cpu = recipe.at("cpu")
    updates = cpu.epochs * cpu.steps_per_epoch
    assert updates == 2000
    for arm in ("batch_renorm", "batch_renorm_32", "batch_renorm_fast"):
        for layer in normalizations(built(arm)):
            assert 0 < layer.ramp_start < layer.d_ramp_end
            assert layer.d_ramp_end < layer.r_ramp_end < updates / 2
            assert (layer.r_max, layer.d_max) == (3, 5)


def test_before_the_ramp_renormalization_is_batch_normalization(built, splits):
    x = splits.train[0][:4]
    model = built("batch_renorm")

    def outputs(model):
        return np.array(model(x, training=True))

    expected = outputs(built("batch_norm"))
    np.testing.assert_allclose(outputs(model), expected, atol=1e-5)
    assert not np.allclose(outputs(built("no_ramp")), expected, atol=0.01)
    for layer in normalizations(model):
        layer.step.assign(layer.r_ramp_end)
    assert not np.allclose(outputs(model), expected, atol=0.01)


def test_ghosts_keep_the_batch_of_32_and_the_statistics_of_4(built, splits):
    x = splits.train[0][:32]
    model = built("ghosts_of_4")
    dense, ghosts = model.layers[1:3]
    assert ghosts.virtual_batch_size == 4
    by_hand = np.array(dense(x)).reshape(8, 4, 100)
    by_hand -= by_hand.mean(axis=1, keepdims=True)
    by_hand /= np.sqrt(np.mean(by_hand**2, axis=1, keepdims=True) + 1e-3)
    found = np.array(ghosts(dense(x), training=True))
    np.testing.assert_allclose(found, by_hand.reshape(32, 100), atol=1e-4)


def test_keras_own_renormalization_has_no_limits(built):
    for layer in normalizations(built("keras_renorm_fast")):
        config = layer.get_config()
        assert config["renorm"]
        assert not config["renorm_clipping"]


def test_every_arm_of_a_claim_is_searched_or_none():
    for claim in recipe.claims:
        fixed = [
            "learning_rate" in recipe.arms[arm].fixed for arm in claim.arms
        ]
        assert len(set(fixed)) == 1, claim.statement
