import keras
import numpy as np
import pytest
from keras import layers, optimizers

from keras_regimen.callbacks.learning_rate.scaled_schedule import ScaledSchedule
from keras_regimen.callbacks.resuming.model_state import (
    assign,
    description,
    rate_factors,
    set_rate_factors,
    state_variables,
)
from keras_regimen.custom_models import prune
from keras_regimen.custom_optimizers import GradientNoise


def model(optimizer):
    net = keras.Sequential(
        [keras.Input((2,)), layers.Dense(3), layers.Dropout(0.5)]
    )
    net.compile(optimizer, "mse", metrics=["mae"])
    return net


def names(net):
    return [description(v).split("`")[1] for v in state_variables(net)]


def test_holds_seeds_slots_and_all_that_is_wrapped():
    noisy = GradientNoise(optimizers.SGD(0.1, momentum=0.9), 0.1)
    net = model(optimizers.LossScaleOptimizer(noisy))
    found = " ".join(names(net))
    for part in (
        "dense/kernel",
        "seed_generator/seed_generator_state",
        "dense_kernel_momentum",
        "sgd/learning_rate",
        "step_counter",
        "dynamic_scale",
    ):
        assert part in found
    variables = {id(v) for v in state_variables(net)}
    assert id(noisy.seed_state) in variables
    assert len(variables) == len(state_variables(net))


def test_metrics_are_not_among_them():
    net = model("sgd")
    before = names(net)
    net.fit(np.ones((2, 2)), np.ones((2, 3)), verbose=0)
    assert names(net) == before
    assert net.metrics_variables


def test_masks_are_among_them():
    net = prune(model("sgd"), 0.5)
    net.compile("sgd")
    mask = net.layers[0].kernel.constraint.mask
    assert id(mask) in {id(v) for v in state_variables(net)}


def test_descriptions_are_the_same_for_the_model_built_again():
    first = [description(v) for v in state_variables(model("adam"))]
    assert [description(v) for v in state_variables(model("adam"))] == first


def test_assigns_in_order():
    variables = [keras.Variable([0.0]), keras.Variable(0, trainable=False)]
    assign(variables, [[np.array([2.0])], [np.array(3)]])
    assert [v.numpy().item() for v in variables] == [2, 3]


def test_a_schedule_is_turned_down_once_and_up_again():
    cosine = optimizers.schedules.CosineDecay(0.5, 10)
    sgd = optimizers.SGD(ScaledSchedule(cosine, 0.5))
    for factors, rate in (({"learning_rate": 0.1}, 0.05), ({}, 0.5)):
        set_rate_factors(sgd, factors)
        assert rate_factors(sgd) == factors
        assert float(sgd.learning_rate) == pytest.approx(rate)
    set_rate_factors(optimizers.SGD(0.1), {})
