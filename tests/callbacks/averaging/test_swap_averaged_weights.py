import keras
import numpy as np
import pytest
from keras import layers, optimizers

from keras_regimen.callbacks import EarlyStopping, SwapAveragedWeights
from keras_regimen.custom_models import fit_in_memory
from keras_regimen.custom_optimizers import (
    Lookahead,
    PolyakAveraging,
    ScheduleFreeSGD,
)

BACKEND = keras.config.backend()
X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
OPTIMIZERS = {
    "polyak": lambda: PolyakAveraging(optimizers.SGD(0.1)),
    "schedule-free": lambda: ScheduleFreeSGD(0.1),
    "ema": lambda: optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8),
    "wrapped ema": lambda: optimizers.LossScaleOptimizer(
        Lookahead(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8))
    ),
    "several": lambda: optimizers.MultiOptimizer(
        optimizers.OptimizerMap(
            optimizers.SGD(0.1), {".*kernel": ScheduleFreeSGD(0.1)}
        )
    ),
}


class Watch(keras.callbacks.Callback):
    """Notes the weights at the ends of batches and of epochs."""

    def __init__(self):
        super().__init__()
        self.after_steps, self.after_epochs = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.after_steps.append(self.model.get_weights())

    def on_epoch_end(self, epoch, logs=None):
        self.after_epochs.append(self.model.get_weights())


def model(optimizer):
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    net.compile(optimizer, "mse")
    return net


def trained(net, *callbacks, fit=keras.Model.fit, epochs=2, validate=True):
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
    kernel, bias = weights
    return np.mean((X @ kernel + bias - Y) ** 2)


def assert_same(a, b):
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "validate"),
    [*((name, True) for name in OPTIMIZERS), ("polyak", False), ("ema", False)],
)
def test_averages_are_judged_and_training_does_not_notice(name, validate):
    plain, swapped = model(OPTIMIZERS[name]()), model(OPTIMIZERS[name]())
    steps, watch = Watch(), Watch()
    trained(plain, steps)
    history = trained(swapped, SwapAveragedWeights(), watch, validate=validate)
    for one, other in zip(steps.after_steps, watch.after_steps, strict=True):
        assert_same(one, other)
    assert_same(plain.get_weights(), swapped.get_weights())
    averages = [plain.get_weights()]
    if name == "polyak":
        # The means of all steps so far, by hand.
        steps = watch.after_steps
        averages = [
            [np.mean(w, axis=0) for w in zip(*steps[:n], strict=True)]
            for n in (3, 6)
        ]
    for expected, found in zip(
        averages, watch.after_epochs[-len(averages) :], strict=True
    ):
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    if validate:
        np.testing.assert_allclose(
            history["val_loss"],
            [loss(weights) for weights in watch.after_epochs],
            rtol=1e-5,
        )
    assert np.any(watch.after_epochs[0][0] != watch.after_steps[2][0])


def test_the_best_epoch_is_that_of_the_averages():
    net = model(optimizers.SGD(0.8, use_ema=True, ema_momentum=0.5))
    stopper = EarlyStopping(patience=5, restore="weights")
    # Even if it is told first.
    history = trained(net, stopper, SwapAveragedWeights(), epochs=5)
    assert loss(net.get_weights()) == pytest.approx(
        min(history["val_loss"]), rel=1e-5
    )


@pytest.mark.skipif(BACKEND == "torch", reason="It compiles no epochs.")
def test_compiled_epochs_are_judged_alike():
    histories = [
        trained(
            model(PolyakAveraging(optimizers.SGD(0.1))),
            SwapAveragedWeights(),
            fit=fit,
        )
        for fit in (keras.Model.fit, fit_in_memory)
    ]
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(
            histories[0][name], histories[1][name], rtol=1e-5
        )


@pytest.mark.parametrize("name", ["polyak", "schedule-free", "ema"])
def test_evaluate_and_predict_swap_for_themselves(name):
    net = model(OPTIMIZERS[name]())
    for _ in range(4):
        net.train_on_batch(X, Y)
    before = net.get_weights()
    found = net.evaluate(X, Y, verbose=0, callbacks=[SwapAveragedWeights()])
    assert_same(net.get_weights(), before)
    outputs = net.predict(X, verbose=0, callbacks=[SwapAveragedWeights()])
    assert_same(net.get_weights(), before)
    net.optimizer.finalize_variable_values(net.trainable_variables)
    averages = net.get_weights()
    assert np.any(averages[0] != before[0])
    assert found == pytest.approx(loss(averages), rel=1e-5)
    kernel, bias = averages
    np.testing.assert_allclose(outputs, X @ kernel + bias, rtol=1e-5)


def test_an_interrupted_epoch_is_taken_back():
    class Fail(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise RuntimeError("on purpose")

    net = model(PolyakAveraging(optimizers.SGD(0.1)))
    swap, watch = SwapAveragedWeights(), Watch()
    with pytest.raises(RuntimeError, match="on purpose"):
        trained(net, swap, watch, Fail())
    swap.on_train_begin()
    assert_same(net.get_weights(), watch.after_steps[-1])


def test_an_optimizer_without_averages_is_refused():
    with pytest.raises(ValueError, match="must average weights.*sgd"):
        trained(model("sgd"), SwapAveragedWeights())
