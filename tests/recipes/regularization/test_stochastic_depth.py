import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_regimen.custom_layers import StochasticDepth
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.harness.engine.training import prepared
from keras_regimen.recipes.regularization import stochastic_depth as script

recipe = script.recipe


@pytest.fixture(scope="module")
def splits():
    return recipe.at("smoke").data["noisy"](0).to("vector", "classes")


def built(arm, splits, **settings):
    hp = HyperParameters({**recipe.arms[arm].on("noisy"), **settings})
    return prepared(recipe, hp, Data(splits), seed=0)


@pytest.mark.parametrize(
    ("arm", "kind", "rates"),
    [
        ("plain", keras.layers.Layer, []),
        ("stochastic_depth", StochasticDepth, np.arange(1, 7) / 12),
        ("constant_rate", StochasticDepth, [3.5 / 12] * 6),
        ("dropout", keras.layers.Dropout, [3.5 / 12] * 6),
    ],
)
def test_an_arm_drops_at_the_rates_that_it_is_about(arm, kind, rates, splits):
    model = built(arm, splits)
    dropping = [layer for layer in model.layers if hasattr(layer, "rate")]
    assert all(type(layer) is kind for layer in dropping)
    found = [layer.rate for layer in dropping]
    np.testing.assert_allclose(found, rates, rtol=1e-12)


def test_the_share_of_dropped_branches_is_that_of_its_rate(splits):
    model = built("stochastic_depth", splits)
    inner = keras.Model(
        model.input,
        [
            layer.output
            for layer in model.layers
            if isinstance(layer, StochasticDepth)
        ],
    )
    outputs = inner(splits.train[0], training=True)
    for depth, branch in enumerate(outputs, start=1):
        rows = np.abs(keras.ops.convert_to_numpy(branch)).sum(axis=1)
        rate = depth / 12
        # Binomial(1000, rate) / 1000: one sigma is at most 0.0158.
        assert np.mean(rows == 0) == pytest.approx(rate, abs=4 * 0.0158)


def test_at_rate_0_an_arm_trains_as_the_plain_net_to_the_bit(splits):
    x, y = (array[:100] for array in splits.train)

    def losses(arm, **settings):
        model = built(arm, splits, learning_rate=0.05, **settings)
        model.run_eagerly = True
        return [model.train_on_batch(x, y)[0] for _ in range(2)]

    plain = losses("plain")
    assert plain[1] < plain[0]
    assert losses("stochastic_depth", rate=0.0) == plain
    assert losses("dropout", rate=0.0) == plain
    assert losses("stochastic_depth") != plain


def test_the_gradient_is_that_of_the_net_which_stays_as_it_is(splits):
    model = built("plain", splits)
    before = [np.array(variable) for variable in model.variables]
    found = script.evaluate(None, model, splits)["log10_gradient"]
    for kept, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(kept, np.array(variable))
    x, y = splits.train
    with tf.GradientTape() as tape:
        probabilities = tf.gather(model(x, training=True), y, batch_dims=1)
        loss = -tf.reduce_mean(tf.math.log(probabilities))
    gradient = tape.gradient(loss, model.get_layer("first").kernel.value)
    by_hand = np.log10(np.mean(np.abs(gradient)))
    assert found == pytest.approx(by_hand, abs=1e-4)


def test_the_budget_is_600_updates_and_a_third_more_at_equal_cost():
    cpu = recipe.at("cpu")
    budgets = {
        name: cpu.steps_per_epoch * cpu.epochs(HyperParameters(arm.on()))
        for name, arm in recipe.arms.items()
    }
    assert budgets.pop("plain_longer") == 800
    assert set(budgets.values()) == {600}


@pytest.mark.parametrize("arm", recipe.arms)
def test_a_search_varies_the_learning_rate_alone(arm, splits):
    hp = HyperParameters(recipe.arms[arm].fixed)
    recipe.build(hp, Data(splits))
    recipe.at("cpu").epochs(hp)
    assert [free.name for free in hp.free()] == ["learning_rate"]
