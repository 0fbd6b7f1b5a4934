import itertools
import math

import keras
import numpy as np
import pytest
from keras import layers, optimizers

from keras_regimen.callbacks import ReduceLROnPlateau
from keras_regimen.custom_models import fit_in_memory
from keras_regimen.custom_optimizers import Lookahead, StepDecay

BACKEND = keras.config.backend()
X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X.sum(axis=1)
# No loss ever improves by so much.
NEVER = {"monitor": "loss", "min_delta": 1e6, "patience": 1, "factor": 0.5}


def model(optimizer):
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    net.compile(optimizer, "mse")
    return net


def trained(net, callback, fit=keras.Model.fit, epochs=4):
    return fit(
        net,
        X,
        Y,
        batch_size=24,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[callback],
    )


def feed(callback, losses, net=None):
    """Ends epochs with these losses; returns the rate after each."""
    net = net or model(optimizers.SGD(1.0))
    callback.set_model(net)
    callback.set_params({})
    callback.on_train_begin()
    rates = []
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        rates.append(float(net.optimizer.learning_rate))
    return rates


@pytest.mark.parametrize(
    ("patience", "cooldown", "mode"),
    list(itertools.product([0, 1, 3], [0, 2], ["min", "max"])),
)
def test_rates_are_those_of_keras_callback(patience, cooldown, mode):
    losses = np.cumsum(np.random.default_rng(patience).normal(size=60))
    arguments = {
        "factor": 0.5,
        "patience": patience,
        "cooldown": cooldown,
        "mode": mode,
        "min_delta": 0.3,
        "min_lr": 0.01,
    }
    theirs = feed(keras.callbacks.ReduceLROnPlateau(**arguments), losses)
    ours = feed(ReduceLROnPlateau(**arguments), losses)
    assert ours == theirs
    assert ours[-1] == pytest.approx(0.01)


def test_a_nan_is_never_the_best():
    plateau = ReduceLROnPlateau(patience=2, factor=0.5)
    losses = [math.nan, 3.0, math.nan, 2.0, 2.0, 2.0]
    assert feed(plateau, losses) == [1, 1, 1, 1, 1, 0.5]
    assert plateau.best == 2.0


def test_a_schedule_goes_on_lower():
    """Three updates of gradient descent, at rates computed by hand."""
    schedule = StepDecay(0.125, steps=2, factor=0.5)
    net = model(optimizers.SGD(schedule))
    kernel, bias = (w.astype("float64") for w in net.get_weights())
    history = trained(net, ReduceLROnPlateau(**NEVER), epochs=3)
    # The first epoch sets the mark; the second and third lower the rate.
    for rate in (0.125, 0.125, 0.0625 / 2):
        error = X @ kernel + bias - Y[:, None]
        kernel = kernel - rate * 2 * X.T @ error / 24
        bias = bias - rate * 2 * error.mean(axis=0)
    np.testing.assert_allclose(net.get_weights()[0], kernel, rtol=1e-5)
    assert float(net.optimizer.learning_rate) == 0.0625 / 4
    assert len(history.params["rate_reductions"]) == 2


@pytest.mark.skipif(BACKEND == "torch", reason="It compiles no epochs.")
def test_a_compiled_epoch_notices_that_its_schedule_is_lower():
    nets = []
    for fit in (keras.Model.fit, fit_in_memory):
        nets.append(model(optimizers.SGD(StepDecay(0.125, steps=3))))
        trained(nets[-1], ReduceLROnPlateau(**NEVER), fit=fit)
    for a, b in zip(*(net.get_weights() for net in nets), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_lowered_schedule_is_saved(tmp_path):
    net = model(optimizers.SGD(StepDecay(0.125, steps=50)))
    trained(net, ReduceLROnPlateau(**NEVER), epochs=2)
    net.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert float(loaded.optimizer.learning_rate) == 0.0625


def test_wrappers_and_several_optimizers_are_lowered():
    several = optimizers.MultiOptimizer(
        optimizers.OptimizerMap(
            optimizers.SGD(0.5), {".*bias": Lookahead(optimizers.Adam(0.125))}
        )
    )
    history = trained(
        model(several), ReduceLROnPlateau(**NEVER), epochs=3
    ).history
    assert history["learning_rate_sgd"] == [0.5, 0.5, 0.25]
    assert history["learning_rate_adam"] == [0.125, 0.125, 0.0625]


@pytest.mark.parametrize("warm_start", [True, False])
def test_a_warm_start_goes_on_counting(warm_start):
    plateau = ReduceLROnPlateau(patience=3, factor=0.5, warm_start=warm_start)
    net = model(optimizers.SGD(1.0))
    feed(plateau, [1.0, 2.0, 2.0], net)
    assert feed(plateau, [2.0], net) == [0.5 if warm_start else 1.0]


def test_reasons_are_kept_and_printed(capsys):
    plateau = ReduceLROnPlateau(**NEVER, verbose=1)
    history = trained(model(optimizers.SGD(0.125)), plateau, epochs=2)
    [reason] = plateau.reasons
    assert reason.startswith("Epoch 2: learning_rate lowered to 0.0625: `loss`")
    assert reason in capsys.readouterr().out
    assert history.params["rate_reductions"] == [reason]
    assert history.history["learning_rate"] == [0.125, 0.125]


def test_a_metric_that_never_came_is_told():
    with pytest.warns(UserWarning, match="`val_loss` was never logged"):
        trained(model("sgd"), ReduceLROnPlateau(), epochs=1)
    with pytest.raises(ValueError, match="`loss`.*Received: `los`"):
        trained(model("sgd"), ReduceLROnPlateau("los", mode="min"), epochs=1)
    with pytest.raises(ValueError, match="Nothing tells.*'gain'"):
        ReduceLROnPlateau("gain").evaluate(1.0)


@pytest.mark.parametrize(
    "argument",
    [
        {"factor": 1.0},
        {"factor": 0.0},
        {"factor": math.nan},
        {"patience": -3},
        {"cooldown": 1.5},
        {"mode": "down"},
        {"min_delta": -1e-3},
        {"min_lr": math.nan},
    ],
)
def test_bad_arguments_are_refused(argument):
    with pytest.raises(ValueError, match=f"`{next(iter(argument))}`"):
        ReduceLROnPlateau(**argument)
