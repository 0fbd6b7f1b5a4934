import math

import keras
import numpy as np
import pytest
from keras import layers, optimizers

from keras_regimen.callbacks import (
    EarlyStopping,
    StochasticWeightAveraging,
    TrainingState,
)
from keras_regimen.custom_models import fit_in_memory
from keras_regimen.custom_optimizers import PolyakAveraging, StepDecay

BACKEND = keras.config.backend()
X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


class Watch(keras.callbacks.Callback):
    """Notes the weights after the last step of each epoch, and at its end."""

    def __init__(self):
        super().__init__()
        self.trained, self.shown = [], []

    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            self.trained.append(self.model.get_weights())

    def on_epoch_end(self, epoch, logs=None):
        self.shown.append(self.model.get_weights())


def model(optimizer=None, normalized=False):
    keras.utils.set_random_seed(0)
    hidden = [layers.BatchNormalization()] if normalized else []
    net = keras.Sequential([keras.Input((3,)), *hidden, layers.Dense(1)])
    net.compile(optimizer or optimizers.SGD(0.1, momentum=0.5), "mse")
    return net


def trained(net, *callbacks, fit=keras.Model.fit, epochs=5, validate=True):
    return fit(
        net,
        X,
        Y,
        batch_size=8,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        validation_data=(X, Y) if validate else None,
        callbacks=list(callbacks),
    ).history


def loss(weights):
    kernel, bias = weights[-2:]
    return np.mean((X @ kernel + bias - Y) ** 2)


def mean(weights):
    return [np.mean(parts, axis=0) for parts in zip(*weights, strict=True)]


def assert_same(a, b, **tolerance):
    compare = np.testing.assert_array_equal
    if tolerance:
        compare = np.testing.assert_allclose
    for one, other in zip(a, b, strict=True):
        compare(one, other, **tolerance)


def assert_close(a, b):
    assert_same(a, b, rtol=1e-5, atol=1e-7)


@pytest.fixture(scope="module")
def runs():
    """A training without averaging, and with it, validated and not."""
    plain = Watch()
    trained(model(), plain)
    found = {}
    for validate in (True, False):
        net, watch = model(), Watch()
        averaging = StochasticWeightAveraging(start_epoch=2)
        history = trained(net, averaging, watch, validate=validate)
        found[validate] = net, watch, averaging, history
    return plain, found


@pytest.mark.parametrize("validate", [True, False])
def test_the_mean_is_that_of_the_recorded_weights(runs, validate):
    plain, found = runs
    net, watch, averaging, _ = found[validate]
    # Training notices nothing.
    for one, other in zip(plain.trained, watch.trained, strict=True):
        assert_same(one, other)
    # Before the phase an epoch ends with its own weights.
    for epoch in (0, 1):
        assert_same(watch.shown[epoch], watch.trained[epoch])
    for epoch in (2, 3, 4):
        expected = mean(watch.trained[2 : epoch + 1])
        assert_close(watch.shown[epoch], expected)
    assert_same(net.get_weights(), watch.shown[-1])
    assert averaging.count == 3


@pytest.mark.skipif(BACKEND != "torch", reason="Its import takes seconds.")
def test_the_mean_is_that_of_torch(runs):
    import torch

    net, watch, *_ = runs[1][True]
    source = torch.nn.Linear(3, 1)
    averaged = torch.optim.swa_utils.AveragedModel(source)
    for kernel, bias in watch.trained[2:]:
        with torch.no_grad():
            source.weight.copy_(torch.tensor(kernel.T))
            source.bias.copy_(torch.tensor(bias))
        averaged.update_parameters(source)
    kernel, bias = net.get_weights()
    expected = averaged.module
    np.testing.assert_allclose(
        kernel.T, expected.weight.detach().numpy(), rtol=1e-6
    )
    np.testing.assert_allclose(bias, expected.bias.detach(), rtol=1e-5)


def test_validation_sees_the_mean(runs):
    _, watch, _, history = runs[1][True]
    np.testing.assert_allclose(
        history["val_loss"], [loss(w) for w in watch.shown], rtol=1e-5
    )


def test_without_the_swap_the_mean_comes_at_the_end_alone(runs):
    net, watch = model(), Watch()
    trained(net, StochasticWeightAveraging(2, swap=False), watch)
    for shown, trained_ in zip(watch.shown, watch.trained, strict=True):
        assert_same(shown, trained_)
    assert_same(net.get_weights(), runs[1][True][0].get_weights())


@pytest.mark.parametrize(
    ("start", "period", "expected"),
    [(0, 1, [0, 1, 2, 3, 4, 5]), (2, 1, [2, 3, 4, 5]), (1, 2, [2, 4])],
)
def test_it_takes_the_end_of_each_period(start, period, expected):
    averaging = StochasticWeightAveraging(start, period)
    assert [e for e in range(6) if averaging.counts(e)] == expected


def test_the_phase_has_its_own_rate():
    net = model()
    averaging = StochasticWeightAveraging(
        2, period=2, learning_rate=lambda epoch: 0.5 - epoch % 2 / 4
    )
    history = trained(net, averaging, epochs=6, validate=False)
    expected = [0.1, 0.1, 0.5, 0.25, 0.5, 0.25]
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-6)
    assert averaging.count == 2
    with pytest.raises(ValueError, match="it has a schedule already"):
        trained(
            model(optimizers.SGD(StepDecay(0.1, 2))),
            StochasticWeightAveraging(2, learning_rate=0.5),
        )


def test_batch_normalization_fits_the_mean_and_comes_back():
    watch, net = Watch(), model(normalized=True)
    trained(net, StochasticWeightAveraging(1, x=X + 2.0), watch, epochs=3)
    # The exact moments of `x`, and not the moving ones of training.
    gamma, beta, center, variance, *_ = net.get_weights()
    np.testing.assert_allclose(center, X.mean(axis=0) + 2, rtol=1e-5)
    np.testing.assert_allclose(variance, X.var(axis=0), rtol=1e-4)
    expected = mean(watch.trained[1:])
    assert_close([gamma, beta], expected[:2])
    # Training, and with it the moving statistics, noticed nothing.
    plain = Watch()
    trained(model(normalized=True), plain, epochs=3)
    for one, other in zip(plain.trained, watch.trained, strict=True):
        assert_same(one, other)


def test_evaluate_and_predict_swap_for_themselves():
    net = model()
    averaging = StochasticWeightAveraging(1)
    trained(net, averaging, validate=False)
    averages = net.get_weights()
    net.train_on_batch(X, Y)
    before = net.get_weights()
    assert np.any(before[0] != averages[0])
    found = net.evaluate(X, Y, verbose=0, callbacks=[averaging])
    assert_same(net.get_weights(), before)
    outputs = net.predict(X, verbose=0, callbacks=[averaging])
    assert_same(net.get_weights(), before)
    assert found == pytest.approx(loss(averages), rel=1e-5)
    kernel, bias = averages
    np.testing.assert_allclose(outputs, X @ kernel + bias, rtol=1e-5)


@pytest.mark.parametrize("first", ["stopper", "averaging"])
def test_the_best_epoch_is_that_of_the_mean(first):
    net = model(optimizers.SGD(0.45))
    callbacks = [
        EarlyStopping(patience=9, restore="weights"),
        StochasticWeightAveraging(0),
    ]
    order = callbacks if first == "stopper" else callbacks[::-1]
    history = trained(net, *order)
    assert loss(net.get_weights()) == pytest.approx(
        min(history["val_loss"]), rel=1e-5
    )


@pytest.mark.skipif(BACKEND == "torch", reason="It compiles no epochs.")
def test_compiled_epochs_give_the_same_mean(runs):
    net = model()
    history = trained(net, StochasticWeightAveraging(2), fit=fit_in_memory)
    plain, _, _, expected = runs[1][True]
    assert_close(net.get_weights(), plain.get_weights())
    np.testing.assert_allclose(
        history["val_loss"], expected["val_loss"], rtol=1e-5
    )


def test_interrupted_training_goes_on_with_the_mean(runs, tmp_path):
    class Crash(keras.callbacks.Callback):
        def __init__(self, at):
            super().__init__()
            self.at = at

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == self.at:
                raise RuntimeError("on purpose")

    def start(at):
        net, averaging = model(), StochasticWeightAveraging(2)
        trained(net, averaging, Crash(at), TrainingState(tmp_path))
        return net, averaging

    with pytest.raises(RuntimeError, match="on purpose"):
        start(at=4)
    net, averaging = start(at=None)
    assert averaging.count == 3
    assert_same(net.get_weights(), runs[1][True][0].get_weights())


def test_half_precision_is_averaged_in_float32():
    keras.config.set_dtype_policy("bfloat16")
    weight = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    net = keras.Sequential([keras.Input((1,)), weight])
    averaging = StochasticWeightAveraging(0)
    averaging.set_model(net)
    for value in (1.0, 1.0078125, 1.015625, 1.015625):
        weight.kernel.assign([[value]])
        averaging._due = True
        averaging._take()
    # Of the neighbours in bfloat16: their mean is none of them.
    assert float(averaging._means[0][0, 0]) == 1.009765625


def test_a_training_that_is_too_short_warns():
    net, watch = model(), Watch()
    with pytest.warns(UserWarning, match="before the mean.*start_epoch=9"):
        trained(net, StochasticWeightAveraging(9), watch, epochs=2)
    assert_same(net.get_weights(), watch.trained[-1])


@pytest.mark.parametrize(
    ("optimizer", "normalized", "message"),
    [
        (None, True, "`x` must be given.*x=None"),
        (PolyakAveraging("sgd"), False, "must not average.*polyak_averaging"),
        (optimizers.SGD(use_ema=True), False, "must not average.*sgd"),
    ],
)
def test_what_cannot_be_averaged_is_refused(optimizer, normalized, message):
    with pytest.raises(ValueError, match=message):
        trained(model(optimizer, normalized), StochasticWeightAveraging(0))


@pytest.mark.parametrize(
    "arguments",
    [
        {"start_epoch": -1},
        {"start_epoch": 2.5},
        {"period": 0},
        {"batch_size": 0},
        {"learning_rate": -0.1},
        {"learning_rate": math.nan},
        {"learning_rate": "high"},
    ],
)
def test_bad_arguments_are_refused(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=rf"`{name}`.*{name}='?{value}"):
        StochasticWeightAveraging(**{"start_epoch": 0, **arguments})
