import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_regimen.recipes.harness import digits
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.harness.engine.training import prepared
from keras_regimen.recipes.normalization import recurrent_batch_norm as script

recipe = script.recipe


@pytest.fixture(scope="module")
def splits():
    data = recipe.at("smoke").data["sequential"]
    return data(0).to("sequence", "classes")


@pytest.fixture(scope="module")
def models(splits):
    return {
        name: prepared(
            recipe, HyperParameters(arm.on("sequential")), Data(splits), seed=0
        )
        for name, arm in recipe.arms.items()
    }


def test_an_arm_has_the_recurrence_that_it_is_about(models):
    kinds = {
        name: type(model.get_layer("recurrent").cell).__name__
        for name, model in models.items()
    }
    assert kinds == {
        "lstm": "LSTMCell",
        "lstm_longer": "LSTMCell",
        "batch_norm": "BatchNormLSTMCell",
        "batch_norm_scale_1": "BatchNormLSTMCell",
        "layer_norm": "LayerNormLSTMCell",
    }
    for name, scale in (("batch_norm", 0.1), ("batch_norm_scale_1", 1.0)):
        cell = models[name].get_layer("recurrent").cell
        for gamma in cell.gamma.values():
            np.testing.assert_array_equal(np.array(gamma), np.float32(scale))


def test_weights_that_arms_share_start_equal(models):
    def shared(model):
        cell = model.get_layer("recurrent").cell
        readout = model.get_layer("readout").kernel
        return [cell.kernel, cell.recurrent_kernel, cell.bias, readout]

    for model in models.values():
        for ours, first in zip(
            shared(model), shared(models["lstm"]), strict=True
        ):
            np.testing.assert_array_equal(np.array(ours), np.array(first))


def test_pixels_are_permuted_alike_in_all_rows_parts_and_seeds():
    for seed in (0, 1):
        plain, other = digits()(seed), script.permuted(seed)
        for part in ("train", "validation", "test"):
            (x, y), (z, w) = getattr(plain, part), getattr(other, part)
            np.testing.assert_array_equal(y, w)
            order = np.random.default_rng(0).permutation(64)
            flat, moved = x.reshape(-1, 64), z.reshape(-1, 64)
            for pixel in (0, 17, 63):
                np.testing.assert_array_equal(
                    moved[:, pixel], flat[:, order[pixel]]
                )
        assert np.mean(moved != flat) > 0.3


@pytest.mark.parametrize("arm", ["lstm", "layer_norm", "batch_norm"])
@pytest.mark.parametrize("time", [1, 5, 8])
def test_the_size_of_the_gradient_is_that_of_the_tape(
    arm, time, models, splits
):
    model = models[arm]
    x, y = splits.train
    recurrent, readout = map(model.get_layer, ("recurrent", "readout"))
    _, hidden, *rest = recurrent(x[:, :time])
    with tf.GradientTape() as tape:
        tape.watch(hidden)
        last = hidden
        if time < 8:
            last, *_ = recurrent(x[:, time:], initial_state=[hidden, *rest])
        loss = keras.losses.sparse_categorical_crossentropy(y, readout(last))
    rows = tape.gradient(loss, hidden).numpy()
    by_tape = np.sqrt(np.mean(np.sum(np.square(rows), axis=1)))
    # Squares of 1,000 normal numbers: one sigma of their root mean is 2.2 %,
    # and somewhat more where rows differ in size.
    found = script.gradient_size(model, x, y, time)
    assert found == pytest.approx(by_tape, rel=0.1)


def test_the_figures_leave_the_model_as_it_is(models, splits):
    model = models["batch_norm"]
    before = [np.array(variable) for variable in model.variables]
    figures = script.evaluate(None, model, splits)
    x, y = splits.train
    first = script.gradient_size(model, x, y, 1)
    last = script.gradient_size(model, x, y, 8)
    assert figures["log10_gradient_left"] == np.log10(first / last)
    for kept, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(kept, np.array(variable))


@pytest.mark.parametrize("arm", recipe.arms)
def test_a_search_varies_the_learning_rate_alone(arm, splits):
    hp = HyperParameters(recipe.arms[arm].fixed)
    recipe.build(hp, Data(splits))
    recipe.at("cpu").steps_per_epoch(hp)
    assert [free.name for free in hp.free()] == ["learning_rate"]


def test_the_budget_is_480_updates_and_1320_at_equal_cost():
    cpu = recipe.at("cpu")
    budgets = {
        name: cpu.epochs * cpu.steps_per_epoch(HyperParameters(arm.on()))
        for name, arm in recipe.arms.items()
    }
    assert budgets.pop("lstm_longer") == 1320
    assert set(budgets.values()) == {480}
