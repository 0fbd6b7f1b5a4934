from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Splits
from keras_regimen.recipes.harness.engine import kernel_cache
from keras_regimen.recipes.harness.engine import reuse as module
from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.engine.pairing import paired
from keras_regimen.recipes.harness.engine.reuse import forget_unseeded, reuse

CELL = Cell("demo", "demo.py", "plain", 0, "cpu", "", {}, "hash")


@pytest.fixture(autouse=True)
def nothing_compiled(monkeypatch):
    monkeypatch.setattr(kernel_cache, "_drawn", 0)
    module._compiled.clear()
    yield
    module._compiled.clear()


def splits_of(rows):
    pair = (np.eye(rows, 3), np.arange(rows) % 2)
    return Splits(pair, pair, pair)


SPLITS = splits_of(4)


def model_of(seed=0, rate=0.5, units=2, optimizer=None, loss="mse"):
    with paired(seed) as pair_streams:
        model = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dropout(rate, name="dropout"),
                keras.layers.BatchNormalization(),
                keras.layers.Dense(units, name="dense"),
            ]
        )
        optimizer = optimizer or keras.optimizers.Adam(0.1, weight_decay=0.01)
        model.compile(optimizer, loss)
        pair_streams(model)
    return model


def train(model):
    """Leaves no part of the model's state as it was."""
    ones = ops.ones((4, 3))
    for _ in range(2):
        model(ones * ops.reshape(ops.arange(4.0), (4, 1)), training=True)
    gradients = [ops.ones_like(v) for v in model.trainable_variables]
    model.optimizer.apply(gradients, model.trainable_variables)
    model.optimizer.learning_rate = 0.025
    model.stop_training = True


def asked(model, seed=0, splits=SPLITS, settings=None, **changes):
    cell = replace(CELL, seed=seed, **changes)
    hp = HyperParameters(settings or {"rate": 0.5})
    return reuse(model, hp, cell, splits)


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    return {
        f"{place} {v.path}": np.array(v) for place, v in enumerate(variables)
    }


def test_an_earlier_model_is_returned_in_the_state_of_the_fresh_one():
    first = model_of(seed=0)
    assert asked(first) == (first, False)
    train(first)
    fresh = model_of(seed=1)
    fresh.optimizer.build(fresh.trainable_variables)
    # Before: weights, moving statistics, slots, rate and streams differ.
    different = {
        name.split("/")[-1]
        for name, values in state(first).items()
        if not np.array_equal(values, state(fresh)[name])
    }
    assert {
        "kernel",
        "moving_mean",
        "moving_variance",
        "seed_generator_state",
        "learning_rate",
    } <= different
    assert any("momentum" in name for name in different)
    model, reused = asked(fresh, seed=1)
    assert model is first
    assert reused
    expected = state(fresh)
    assert state(model).keys() == expected.keys()
    for name, values in state(model).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    assert int(model.optimizer.iterations) == 0
    assert not model.stop_training


def test_the_reused_model_takes_the_very_steps_of_the_fresh_one():
    first = model_of(seed=0)
    asked(first)
    train(first)
    reused, _ = asked(model_of(seed=1), seed=1)
    fresh = model_of(seed=1)
    for model in (reused, fresh):
        train(model)
    for mine, theirs in zip(reused.weights, fresh.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_what_is_reused_does_not_share_its_state_with_the_fresh_model():
    first = model_of(seed=0)
    asked(first)
    train(first)
    fresh = model_of(seed=1)
    kernel = np.array(fresh.get_layer("dense").kernel)
    model, _ = asked(fresh, seed=1)
    model.get_layer("dense").kernel.assign(kernel + 1)
    np.testing.assert_array_equal(fresh.get_layer("dense").kernel, kernel)


def adam(learning_rate):
    return {"class_name": "Adam", "config": {"learning_rate": learning_rate}}


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 0.25},
        {"units": 3},
        {"optimizer": adam(0.2)},
        {"optimizer": "sgd"},
        {"loss": "mae"},
    ],
    ids=str,
)
def test_a_model_of_another_configuration_is_not_reused(changes):
    first = model_of(optimizer=adam(0.1))
    asked(first)
    train(first)
    other = model_of(**{"optimizer": adam(0.1), **changes})
    assert asked(other) == (other, False)
    assert asked(model_of(optimizer=adam(0.1))) == (first, True)


@pytest.mark.parametrize(
    "asking",
    [
        {"code": "other"},
        {"data": "noisy"},
        {"scale": "gpu"},
        {"settings": {"rate": 0.25}},
        {"splits": splits_of(6)},
    ],
    ids=lambda asking: next(iter(asking)),
)
def test_a_model_for_another_purpose_is_not_reused(asking):
    first = model_of()
    asked(first)
    train(first)
    other = model_of()
    assert asked(other, **asking) == (other, False)


def test_the_arm_does_not_count_but_what_it_sets():
    first = model_of()
    asked(first, arm="plain")
    train(first)
    assert asked(model_of(), arm="control") == (first, True)


def test_a_model_that_was_never_trained_is_not_loaded_into():
    """Its optimizer has no slots yet, so there is nothing compiled either."""
    asked(model_of())
    other = model_of()
    assert asked(other) == (other, False)


def test_the_least_recently_used_model_is_dropped(monkeypatch):
    monkeypatch.setattr(module, "_MOST_COMPILED", 2)
    kept = {units: model_of(units=units) for units in (1, 2)}
    for model in kept.values():
        asked(model)
        train(model)
    assert asked(model_of(units=1)) == (kept[1], True)
    train(kept[1])
    asked(model_of(units=3))  # Drops the one of 2 units.
    assert asked(model_of(units=1)) == (kept[1], True)
    assert asked(model_of(units=2))[1] is False
    assert len(module._compiled) == 2


def test_a_model_that_plain_fit_trains_is_neither_kept_nor_reused():
    class Own(keras.Sequential):
        def fit(self, *args, **kwargs):
            return super().fit(*args, **kwargs)

    for _ in range(2):
        model = Own([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        assert asked(model) == (model, False)
    assert not module._compiled


def test_a_model_without_a_configuration_is_neither_kept_nor_reused():
    class Unsaid(keras.layers.Layer):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def call(self, x):
            return self.function(x)

    for _ in range(2):
        model = keras.Sequential([keras.Input((3,)), Unsaid(ops.tanh)])
        model.compile("sgd", "mse")
        assert asked(model) == (model, False)
    assert not module._compiled


@keras.saving.register_keras_serializable(package="test_reuse")
class Noise(keras.layers.Layer):
    """Draws from the global stream of seeds, unless it has its own."""

    def __init__(self, own_seed=False, **kwargs):
        super().__init__(**kwargs)
        self.own_seed = own_seed
        self.seed = keras.random.SeedGenerator(1) if own_seed else None

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.seed)

    def get_config(self):
        return {**super().get_config(), "own_seed": self.own_seed}


@pytest.mark.tensorflow
@pytest.mark.parametrize("own_seed", [False, True])
def test_a_model_that_draws_without_a_seed_is_not_reused(own_seed):
    def fitted(seed):
        with paired(seed):
            model = keras.Sequential([keras.Input((3,)), Noise(own_seed)])
            model.add(keras.layers.Dense(1))
            model.compile("sgd", "mse")
        model, reused = asked(model, seed=seed)
        keras.utils.set_random_seed(seed)
        history = fit_in_memory(model, *SPLITS.train, verbose=0)
        forget_unseeded(model)
        return history.history["loss"][0], reused

    expected = fitted(seed=1)[0]
    module._compiled.clear()
    fitted(seed=0)
    loss, reused = fitted(seed=1)
    assert reused is own_seed
    assert loss == expected


@pytest.mark.tensorflow
def test_nothing_is_reused_once_tensorflow_holds_a_random_state():
    first = model_of()
    asked(first)
    train(first)
    assert asked(model_of()) == (first, True)
    import tensorflow as tf

    tf.random.uniform((2,))
    other = model_of()
    assert asked(other) == (other, False)
