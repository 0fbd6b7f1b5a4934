import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data, Splits
from keras_regimen.recipes.regularization.input_noise import evaluate, recipe


@pytest.fixture(scope="module")
def splits():
    return recipe.at("smoke").data["small"](0).to("vector", "classes")


def built(splits, regularizer, **settings):
    hp = HyperParameters({"regularizer": regularizer, **settings})
    return recipe.build(hp, Data(splits))


@pytest.mark.parametrize(
    ("regularizer", "settings", "noisy"),
    [
        ("none", {}, False),
        ("input_noise", {"input_noise": 0.2}, True),
        ("weight_noise", {"weight_noise": 0.05}, True),
        ("weight_decay", {"weight_decay": 1e-3}, False),
    ],
)
def test_an_arm_has_its_own_regularizer_and_no_other(
    splits, regularizer, settings, noisy
):
    model = built(splits, regularizer, **settings)
    x = splits.train[0][:4]
    in_training, at_rest = (np.array(model(x, training=t)) for t in (1, 0))
    assert (not np.array_equal(in_training, at_rest)) == noisy
    assert model.losses == []
    assert model.optimizer.weight_decay == settings.get("weight_decay", 0.0)


def test_decay_shrinks_kernels_and_leaves_biases_alone(splits):
    x, y = splits.train[0][:4], splits.train[1][:4]
    decay = 0.02
    trained = []
    for settings in (("none", {}), ("weight_decay", {"weight_decay": decay})):
        model = built(splits, settings[0], **settings[1])
        start = np.random.default_rng(0)
        model.set_weights(
            [start.normal(0, 0.1, w.shape) for w in model.get_weights()]
        )
        before = model.get_weights()
        model.train_on_batch(x, y)
        trained.append(model.get_weights())
    rate = 0.1
    for weight, plain, decayed in zip(before, *trained, strict=True):
        share = rate * decay if weight.ndim == 2 else 0.0
        np.testing.assert_allclose(
            plain - decayed, share * weight, rtol=1e-3, atol=1e-7
        )


def test_noise_on_inputs_has_the_deviation_that_was_asked_for(splits):
    model = built(splits, "input_noise", input_noise=0.2)
    layer = next(
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.GaussianNoise)
    )
    zeros = np.zeros((200, 64), "float32")
    # 12,800 draws: the deviation's own is 0.2 / sqrt(25,600), or 0.6 %.
    assert np.std(layer(zeros, training=True)) == pytest.approx(0.2, rel=0.03)


def test_slopes_of_a_linear_net_are_its_squared_kernel(splits):
    kernel = np.random.default_rng(0).normal(size=(64, 10)).astype("float32")
    model = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(10, use_bias=False)]
    )
    model.set_weights([kernel])
    rows = splits.test
    # Hutchinson's estimate: the error of 1,297 rows is about 1 %.
    found = evaluate(None, model, Splits(rows, rows, rows))
    expected = np.log10(np.sum(np.square(kernel)))
    assert found["log10_squared_slopes"] == pytest.approx(expected, abs=0.02)


def test_both_sizes_are_tested_on_clean_labels_of_the_rest():
    data = recipe.at("cpu").data
    sizes = {name: data[name](0).counts for name in data}
    assert sizes["small"] == {"train": 300, "validation": 200, "test": 1297}
    assert sizes["large"] == {"train": 1000, "validation": 200, "test": 597}
