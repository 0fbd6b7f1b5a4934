import math

import numpy as np
import pytest

from keras_regimen.custom_layers import (
    GhostBatchNormalization,
    UnbiasedBatchNormalization,
)
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.normalization.large_batches import evaluate, recipe


def weights_of(model):
    return [np.array(weight) for weight in model.weights]


@pytest.mark.parametrize(
    ("arm", "batch_size", "updates"),
    [
        ("small", 25, 800),
        ("large", 500, 40),
        ("large_sqrt", 500, 40),
        ("large_ghosts", 500, 40),
        ("large_ghosts_longer", 500, 800),
        ("large_longer", 500, 800),
        ("large_own_rate", 500, 40),
        ("large_ghosts_own_rate", 500, 40),
    ],
)
def test_an_arm_has_as_many_epochs_or_as_many_updates(arm, batch_size, updates):
    cpu, hp = recipe.at("cpu"), HyperParameters(recipe.arms[arm].on())
    assert cpu.batch_size(hp) == batch_size
    assert cpu.epochs * cpu.steps_per_epoch(hp) == updates
    if not arm.endswith("longer"):
        assert batch_size * updates == 20 * 1000


def test_large_batches_share_the_rate_of_small_ones_or_its_square_root_rule():
    rates = {
        name: arm.on().get("learning_rate") for name, arm in recipe.arms.items()
    }
    assert rates["large"] == rates["small"]
    by_rule = rates["small"] * math.sqrt(500 / 25)
    for arm in ("sqrt", "ghosts", "longer", "ghosts_longer"):
        assert rates[f"large_{arm}"] == pytest.approx(by_rule, rel=5e-3)


@pytest.mark.parametrize("arm", recipe.arms)
def test_an_arm_normalizes_over_ghosts_or_over_the_batch(built, arm):
    kinds = [
        type(layer)
        for layer in built(arm).layers
        if isinstance(layer, UnbiasedBatchNormalization)
    ]
    ghosts = "ghosts" in arm
    kind = GhostBatchNormalization if ghosts else UnbiasedBatchNormalization
    assert kinds == [kind] * 3


def test_ghosts_of_the_small_size_change_nothing_in_a_small_batch(
    built, splits
):
    small, large = splits.train[0][:25], splits.train[0][:500]
    plain, ghosts = built("large"), built("large_ghosts")
    for _ in range(3):
        np.testing.assert_allclose(
            np.array(ghosts(small, training=True)),
            np.array(plain(small, training=True)),
            atol=1e-5,
        )
    for found, expected in zip(
        weights_of(ghosts), weights_of(plain), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(
        np.array(ghosts(large, training=True)),
        np.array(plain(large, training=True)),
        atol=0.01,
    )


def test_sharpness_leaves_the_weights_as_they_were(built, splits):
    model = built("small")
    before = weights_of(model)
    sharpness = evaluate(None, model, splits)["sharpness"]
    assert sharpness != 0
    assert evaluate(None, model, splits)["sharpness"] == sharpness
    for weight, kept in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(np.array(weight), kept)


def test_sharpness_does_not_see_the_scale_of_a_unit(built, splits):
    model = built("small")
    for _ in range(20):  # Which moves the statistics to those of the data.
        model(splits.train[0], training=True)
    sharpness = evaluate(None, model, splits)["sharpness"]
    dense, normalization = model.layers[1:3]
    dense.kernel.assign(10 * dense.kernel)
    dense.bias.assign(10 * dense.bias)
    normalization.moving_mean.assign(10 * normalization.moving_mean)
    # The same net, apart from the epsilon within the root.
    epsilon = normalization.epsilon
    normalization.moving_variance.assign(
        100 * (normalization.moving_variance + epsilon) - epsilon
    )
    found = evaluate(None, model, splits)["sharpness"]
    assert found == pytest.approx(sharpness, rel=1e-3)


def test_sharpness_is_the_curvature_where_a_minimum_is_known(built, splits):
    model = built("small")
    _, y = splits.train
    hidden, last = model.layers[1:-1], model.layers[-1]
    for layer in hidden:  # What has no length is not moved.
        if layer.name.startswith("dense"):
            layer.kernel.assign(np.zeros(layer.kernel.shape))
    features = np.random.default_rng(1).uniform(size=64)
    hidden[-2].beta.assign(features)  # For all images alike.
    # So the best prediction is the frequency of the labels.
    kernel, share = np.array(last.kernel), np.bincount(y) / len(y)
    last.bias.assign(np.log(share) - features @ kernel)
    logit_variance = (
        0.1**2 * np.sum(kernel**2, axis=0) * np.sum(features**2) / 64
    )
    expected = np.sum(share * (1 - share) * logit_variance) / 2
    # The mean of ten steps in ten logits: 15 % of standard deviation.
    found = evaluate(None, model, splits)["sharpness"]
    assert found == pytest.approx(expected, rel=0.6)
