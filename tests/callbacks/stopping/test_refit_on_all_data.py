import keras
import numpy as np
import pytest
from keras import layers, optimizers

from keras_regimen.callbacks import (
    EarlyStopping,
    PrecheltStopping,
    refit_on_all_data,
)
from keras_regimen.custom_models import fit_in_memory

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype("float32")
Y = (X.sum(axis=1) + RNG.normal(size=40)).astype("float32")[:, None]
# The faster one, where there are two.
FIT = keras.Model.fit if keras.config.backend() == "torch" else fit_in_memory
TRAIN, VALIDATION = (X[:30], Y[:30]), (X[30:], Y[30:])


def build():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile(optimizers.SGD(0.1, momentum=0.5), "mse")
    return model


def descend(weights, slots, x, y, epochs):
    """Full batches of Keras' gradient descent with momentum, by hand."""
    for _ in range(epochs):
        kernel, bias = weights
        error = x @ kernel + bias - y
        gradients = [2 * x.T @ error / len(x), 2 * error.mean(axis=0)]
        slots = [
            0.5 * s - 0.1 * g for s, g in zip(slots, gradients, strict=True)
        ]
        weights = [w + s for w, s in zip(weights, slots, strict=True)]
    return weights, slots


def loss(weights, x, y):
    return np.mean((x @ weights[0] + weights[1] - y) ** 2)


def best_epoch():
    """The epoch of the lowest validation loss, by hand, and its state."""
    weights = [w.astype("float64") for w in build().get_weights()]
    states = [(weights, [0.0, 0.0])]
    for _ in range(60):
        states.append(descend(*states[-1], *TRAIN, 1))
    losses = [loss(weights, *VALIDATION) for weights, _ in states[1:]]
    best = int(np.argmin(losses)) + 1
    assert 1 < best < 40
    return best, *states[best]


def refit(strategy, **arguments):
    arguments = {
        "stopper": EarlyStopping(patience=20, restore="training_state"),
        "batch_size": 40,
        "fit": FIT,
        **arguments,
    }
    return refit_on_all_data(build, *TRAIN, VALIDATION, strategy, **arguments)


def test_retraining_takes_as_many_epochs_on_all_data_from_the_start():
    found = refit("retrain")
    epochs, *_ = best_epoch()
    start = build().get_weights()
    weights, _ = descend(start, [0.0, 0.0], X, Y, epochs)
    assert found.epochs == found.extra_epochs == epochs
    assert found.reached
    for ours, expected in zip(found.model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_continuing_goes_on_until_the_validation_loss_is_low():
    epochs, weights, slots = best_epoch()
    # As much noise in both parts, so that the target can be reached.
    target = loss(weights, *TRAIN)
    taken = 0
    while loss(weights, *VALIDATION) > target and taken < 100:
        weights, slots = descend(weights, slots, X, Y, 1)
        taken += 1
    reached = taken < 100
    if reached:
        found = refit("continue")
    else:
        with pytest.warns(UserWarning, match="did not reach"):
            found = refit("continue")
    assert (found.epochs, found.extra_epochs) == (epochs, taken)
    assert found.reached == reached
    assert found.target == pytest.approx(target, rel=1e-5)
    for ours, expected in zip(found.model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4)


def test_a_target_that_is_never_reached_ends_with_a_warning():
    noisy = (VALIDATION[0], VALIDATION[1] + 10 * RNG.normal(size=(10, 1)))
    with pytest.warns(UserWarning, match="did not reach.*in 3 more epochs"):
        found = refit_on_all_data(
            build, *TRAIN, noisy, "continue", epochs=3, extra_epochs=3
        )
    assert not found.reached
    assert found.extra_epochs == 3
    assert found.history["aimed_loss"][-1] > found.target


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "restart"}, "`strategy` must be.*'restart'"),
        ({"stopper": EarlyStopping()}, "restores the best epoch"),
        (
            {"stopper": keras.callbacks.EarlyStopping()},
            "`stopper` must be an `EarlyStopping` or",
        ),
        ({"extra_epochs": 0}, "`extra_epochs` must be an integer, 1 or more"),
        ({"validation_data": X}, "`validation_data` must be a pair"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    arguments = {"validation_data": VALIDATION, **arguments}
    with pytest.raises(ValueError, match=message):
        refit_on_all_data(build, *TRAIN, **arguments)


def test_training_that_never_stopped_has_a_best_epoch_too():
    found = refit("retrain", stopper=PrecheltStopping("GL", 1e6), epochs=60)
    assert found.epochs == best_epoch()[0]
