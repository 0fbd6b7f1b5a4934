import math

import keras
import numpy as np
import pytest
from keras import layers, optimizers

from keras_regimen.callbacks import LearningRateDecay
from keras_regimen.custom_models import fit_in_memory
from keras_regimen.custom_optimizers import Lookahead, StepDecay

BACKEND = keras.config.backend()
X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X.sum(axis=1)


def model(optimizer):
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)]
    )
    net.compile(optimizer, "mse")
    return net


def trained(net, *callbacks, fit=keras.Model.fit, epochs=3, **arguments):
    return fit(
        net,
        X,
        Y,
        batch_size=8,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
        **arguments,
    ).history


def assert_same_weights(a, b):
    for one, other in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_by_the_batch_it_equals_the_schedule_in_the_optimizer():
    schedule = optimizers.schedules.ExponentialDecay(0.125, 1, 0.5)
    inside = model(optimizers.Adam(schedule))
    outside = model(optimizers.Adam(7.0))
    trained(inside)
    history = trained(outside, LearningRateDecay(schedule, unit="batch"))
    assert_same_weights(inside, outside)
    # An epoch ends with the rate of its third batch.
    assert history["learning_rate"] == [2**-5, 2**-8, 2**-11]


@pytest.mark.parametrize("unit", ["epoch", "batch"])
def test_training_that_goes_on_has_the_rates_of_one_that_did_not_stop(unit):
    decay = LearningRateDecay(lambda count: 0.1 / (1 + count), unit=unit)
    whole, parts = model("sgd"), model("sgd")
    rates = trained(whole, decay)["learning_rate"]
    first = trained(parts, decay, epochs=1)["learning_rate"]
    rest = trained(
        parts,
        LearningRateDecay(decay.schedule, unit=unit),
        epochs=3,
        initial_epoch=1,
    )["learning_rate"]
    assert rates == first + rest
    assert_same_weights(whole, parts)


@pytest.mark.skipif(BACKEND == "torch", reason="It compiles no epochs.")
def test_epochs_stay_compiled_but_batches_do_not():
    plain, compiled = model("sgd"), model("sgd")
    decay = LearningRateDecay(StepDecay(0.125, 1, factor=0.5))
    expected = trained(plain, decay)
    found = trained(compiled, decay, fit=fit_in_memory)
    assert found["learning_rate"] == [0.125, 0.0625, 0.03125]
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-5)
    with pytest.warns(UserWarning, match="plain `model.fit`"):
        trained(
            compiled,
            LearningRateDecay(decay.schedule, unit="batch"),
            fit=fit_in_memory,
        )


def test_accumulated_batches_are_one_update():
    net = model(optimizers.SGD(0.1, gradient_accumulation_steps=3))
    decay = LearningRateDecay(lambda count: 1 + count, unit="batch")
    assert trained(net, decay)["learning_rate"] == [1, 2, 3]


def test_wrappers_and_several_optimizers_get_the_rate():
    several = optimizers.MultiOptimizer(
        optimizers.OptimizerMap(
            optimizers.SGD(), {".*bias": Lookahead(optimizers.Adam())}
        )
    )
    history = trained(
        model(several), LearningRateDecay(lambda epoch: 2.0**-epoch)
    )
    assert history["learning_rate_sgd"] == [1, 0.5, 0.25]
    assert history["learning_rate_adam"] == [1, 0.5, 0.25]


def test_it_prints_what_it_sets(capsys):
    trained(model("sgd"), LearningRateDecay(lambda _: 0.25, verbose=1))
    assert "Epoch 3: learning rate 0.25." in capsys.readouterr().out


def test_a_schedule_in_the_optimizer_is_refused():
    with pytest.raises(ValueError, match="it has a schedule already"):
        trained(
            model(optimizers.SGD(StepDecay(0.1, 2))),
            LearningRateDecay(lambda _: 0.1),
        )


@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf, [0.1, 0.2]])
def test_what_is_no_rate_is_refused(rate):
    with pytest.raises(ValueError, match="finite rates.*for epoch 0"):
        trained(model("sgd"), LearningRateDecay(lambda _: rate))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": 0.1}, "`schedule` must be a function"),
        ({"schedule": abs, "unit": "step"}, '"epoch" or "batch".*\'step\''),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LearningRateDecay(**arguments)
