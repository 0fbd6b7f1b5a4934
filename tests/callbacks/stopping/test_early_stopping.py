import copy
import math
import pickle

import keras
import numpy as np
import pytest

from keras_regimen.callbacks import EarlyStopping


class EpochModel:
    """A model whose weights tell at which epoch they were kept."""

    stop_training = False
    weights = -1

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights


def feed(stopper, logs, model=None):
    """Ends epochs with these logs until the callback stops."""
    model = model or EpochModel()
    model.stop_training = False
    stopper.set_model(model)
    stopper.on_train_begin()
    for epoch, epoch_logs in enumerate(logs):
        model.weights = epoch
        stopper.on_epoch_end(epoch, epoch_logs)
        if model.stop_training:
            break
    stopper.on_train_end()
    return model


def feed_losses(stopper, losses):
    return feed(stopper, [{"val_loss": loss} for loss in losses])


def small_model(rate=0.5, optimizer="adam", **compile_arguments):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, activation="tanh"),
            keras.layers.Dropout(rate),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mse", metrics=["mae"], **compile_arguments)
    return model


def data(rows=24):
    x = np.random.default_rng(0).normal(size=(rows, 3)).astype("float32")
    return x, x.sum(axis=1, keepdims=True)


def write_logs(losses):
    """A callback that replaces what is monitored by a list."""
    return keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(judged=losses[epoch])
    )


def record_weights(model, into):
    return keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: into.append(model.get_weights())
    )


def assert_all_equal(actual, expected):
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def whole_state(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(v) for v in variables]


def test_decides_as_keras_own_callback_does():
    rng = np.random.default_rng(0)
    for _ in range(40):
        # Eighths have no rounding, so that ties are ties for both.
        losses = rng.integers(0, 40, size=20) / 8
        arguments = {
            "patience": int(rng.integers(0, 5)),
            "min_delta": rng.integers(0, 5) / 8,
            "mode": str(rng.choice(["min", "max", "auto"])),
            "baseline": rng.choice([None, 0.5, 2.0]),
            "start_from_epoch": int(rng.integers(0, 4)),
            "restore_best_weights": True,
        }
        ours = EarlyStopping(**arguments)
        theirs = keras.callbacks.EarlyStopping(**arguments)
        models = [feed_losses(stopper, losses) for stopper in (ours, theirs)]
        for name in ("stopped_epoch", "best_epoch", "best", "wait"):
            assert getattr(ours, name) == getattr(theirs, name), arguments
        assert models[0].weights == models[1].weights, arguments


def test_nan_in_the_first_epoch_does_not_hide_later_improvements():
    losses = [math.nan, 0.9, 0.5, 0.6, 0.7, 0.4]
    stopper = EarlyStopping(patience=2, restore="weights")
    model = feed_losses(stopper, losses)
    assert (stopper.best, stopper.best_epoch) == (0.5, 2)
    assert (stopper.stopped_epoch, model.weights) == (4, 2)


def test_first_epoch_never_stops_even_if_it_is_nan_and_patience_0():
    stopper = EarlyStopping()
    stops = [stopper.evaluate(loss)[0] for loss in (math.nan, 0.5, 0.5)]
    assert stops == [False, False, True]


def test_weights_that_the_user_calls_the_best_come_back():
    model = small_model()
    arrays = [np.full(w.shape, 2.0, "float32") for w in model.get_weights()]
    stopper = EarlyStopping("loss", patience=9, restore="weights")
    stopper.set_model(model)
    stopper.on_train_begin()
    stopper.on_epoch_end(0, {"loss": 1.0})
    stopper.best_weights = arrays
    stopper.on_train_end()
    assert_all_equal(model.get_weights(), arrays)


def test_nan_counts_as_an_epoch_without_improvement():
    stopper = EarlyStopping(patience=2)
    feed_losses(stopper, [0.5, math.nan, 0.4, math.nan, math.nan, 0.1])
    assert (stopper.best, stopper.stopped_epoch) == (0.4, 4)


def test_nothing_but_nan_stops_after_patience_and_restores_nothing():
    stopper = EarlyStopping(patience=2, restore="weights")
    model = feed_losses(stopper, [math.nan] * 9)
    assert (stopper.stopped_epoch, model.weights) == (2, 2)
    assert stopper.reason == "`val_loss` was NaN in 3 epochs"
    assert stopper.best_weights is None


@pytest.mark.parametrize(
    ("arguments", "losses", "reason"),
    [
        (
            {"patience": 2},
            [0.5, 0.25, 0.375, 0.25],
            "did not improve on its best, 0.25, in 2 epochs",
        ),
        (
            {"patience": 1, "min_delta": -0.125},
            [0.5, 0.375],
            "did not improve on its best, 0.5, by more than 0.125 in 1 epochs",
        ),
        (
            {"patience": 2, "baseline": 0.1},
            [0.5, 0.6],
            "did not improve on the baseline, 0.1, in 2 epochs",
        ),
    ],
)
def test_every_stop_has_a_reason(arguments, losses, reason):
    stopper = EarlyStopping(**arguments)
    verdicts = [stopper.evaluate(loss) for loss in losses]
    assert verdicts[:-1] == [(False, None)] * (len(losses) - 1)
    assert verdicts[-1] == (True, f"`val_loss` {reason}")


def test_infinite_patience_never_stops_but_restores():
    stopper = EarlyStopping(patience=math.inf, restore="weights")
    assert feed_losses(stopper, [1, *[2] * 50]).weights == 0
    assert stopper.reason is None


def test_reason_is_shown_if_verbose_and_kept_by_history(capsys):
    x, y = data()
    model = small_model()
    stopper = EarlyStopping(
        "judged", mode="min", patience=1, restore="weights", verbose=1
    )
    callbacks = [write_logs([0.5, 0.75, 0.0]), stopper]
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=callbacks)
    reason = "`judged` did not improve on its best, 0.5, in 1 epochs"
    assert history.params["stop_reason"] == stopper.reason == reason
    assert capsys.readouterr().out == (
        f"Epoch 2: early stopping: {reason}\n"
        "Restoring model weights from the end of the best epoch: 1.\n"
    )


def test_nothing_is_shown_by_default(capsys):
    feed_losses(EarlyStopping(restore="weights"), [1, 2])
    feed_losses(EarlyStopping(restore="weights"), [math.nan, math.nan])
    assert capsys.readouterr().out == ""


def test_history_says_that_nothing_stopped_the_training():
    stopper = EarlyStopping("loss", patience=9)
    history = keras.callbacks.History()
    callbacks = keras.callbacks.CallbackList(
        [stopper, history], model=EpochModel(), epochs=1
    )
    callbacks.on_train_begin()
    callbacks.on_epoch_end(0, {"loss": 1.0})
    callbacks.on_train_end()
    assert history.params["stop_reason"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patience": -3}, "`patience`.*0 or more.*patience=-3"),
        ({"patience": 1.5}, "`patience`.*integer.*patience=1.5"),
        ({"start_from_epoch": -1}, "`start_from_epoch`.*start_from_epoch=-1"),
        ({"mode": "minimum"}, "`mode`.*\"auto\".*mode='minimum'"),
        ({"min_delta": math.nan}, "`min_delta`.*min_delta=nan"),
        ({"baseline": math.nan}, "`baseline`.*baseline=nan"),
        ({"baseline": "0.5"}, "`baseline`.*baseline=0.5"),
        ({"monitor": ""}, "`monitor`.*monitor=''"),
        ({"monitor": None}, "`monitor`.*monitor=None"),
        ({"restore": "best"}, "`restore`.*training_state.*restore='best'"),
        (
            {"restore": "weights", "restore_best_weights": True},
            "either.*restore='weights', restore_best_weights=True",
        ),
    ],
)
def test_bad_argument_says_what_was_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**arguments)


def test_unknown_metric_is_an_error_that_lists_the_logs():
    stopper = EarlyStopping("val_los", start_from_epoch=5)
    with pytest.raises(ValueError, match=r"`loss`, `val_loss`.*`val_los`"):
        feed(stopper, [{"loss": 1.0, "val_loss": 1.0}])


def test_missing_validation_is_an_error_that_says_what_to_pass():
    with pytest.raises(ValueError, match=r"validation_data.*`val_loss`"):
        feed(EarlyStopping(), [{"loss": 1.0}])


def test_epochs_without_validation_are_passed_over():
    # As `validation_freq=2` logs.
    logs = [{"loss": 0.0}, {"loss": 0.0, "val_loss": 0.5}] * 4
    stopper = EarlyStopping(patience=2, start_from_epoch=1)
    feed(stopper, logs)
    assert (stopper.best_epoch, stopper.stopped_epoch) == (1, 5)


@pytest.mark.parametrize("monitor", ["f1", "val_custom", "val_error_rate"])
def test_mode_that_cannot_be_told_is_an_error(monitor):
    with pytest.raises(ValueError, match=r"mode=\"min\".*mode=\"max\".*auto"):
        feed(EarlyStopping(monitor), [{monitor: 1.0}])


def test_mode_is_told_by_the_name_before_the_first_epoch():
    logs = [{"val_error": value} for value in (2.0, 1.0, 3.0)]
    stopper = EarlyStopping("val_error")
    feed(stopper, logs)
    assert stopper.stopped_epoch == 2


def test_no_hook_runs_per_batch_or_around_validation():
    base = keras.callbacks.Callback
    hooks = [name for name in dir(base) if name.startswith("on_")]
    own = {h for h in hooks if getattr(EarlyStopping, h) != getattr(base, h)}
    assert own == {"on_train_begin", "on_epoch_end", "on_train_end"}


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_callback_can_be_copied_before_and_after_training(copied):
    stopper = EarlyStopping(patience=2, restore="training_state")
    for _ in range(2):
        other = copied(stopper)
        other = pickle.loads(other) if isinstance(other, bytes) else other  # noqa: S301
        feed_losses(other, [3, 1, 2, 2])
        assert other.best_epoch == 1
        feed_losses(stopper, [3, 1, 2, 2])


def test_weights_of_the_best_epoch_come_back():
    x, y = data()
    model = small_model(optimizer="sgd")
    seen = []
    stopper = EarlyStopping(
        "judged", mode="max", patience=2, restore_best_weights=True
    )
    callbacks = [write_logs([1, 3, 2, 2, 9]), stopper]
    callbacks.append(record_weights(model, seen))
    model.fit(x, y, batch_size=8, epochs=9, verbose=0, callbacks=callbacks)
    assert len(seen) == 4
    assert not np.array_equal(seen[1][0], seen[3][0])
    assert_all_equal(model.get_weights(), seen[1])
    assert_all_equal(stopper.best_weights, seen[1])


def test_several_steps_per_execution_change_nothing():
    if keras.backend.backend() == "torch":
        pytest.skip("Keras refuses `steps_per_execution` on PyTorch.")
    x, y = data()
    model = small_model(optimizer="sgd", steps_per_execution=2)
    seen = []
    stopper = EarlyStopping("judged", mode="min", patience=1, restore="weights")
    callbacks = [write_logs([1, 2]), stopper, record_weights(model, seen)]
    model.fit(x, y, batch_size=8, epochs=5, verbose=0, callbacks=callbacks)
    assert len(seen) == 2
    assert_all_equal(model.get_weights(), seen[0])


def test_training_on_from_the_restored_state_equals_never_going_past():
    x, y = data()

    def train(losses, epochs):
        keras.utils.set_random_seed(1)
        model = small_model()
        stopper = EarlyStopping(
            "judged", mode="min", patience=2, restore="training_state"
        )
        # PyTorch's random state, which orders the data, is restored as well.
        shuffle = keras.backend.backend() == "torch"
        arguments = {"batch_size": 8, "shuffle": shuffle, "verbose": 0}
        first = [write_logs(losses), stopper]
        model.fit(x, y, epochs=epochs, callbacks=first, **arguments)
        stopped = whole_state(model)
        history = model.fit(x, y, epochs=2, **arguments)
        return stopped, whole_state(model), history.history["loss"]

    past = train([5, 4, 3, 9, 9, 0], epochs=6)
    undisturbed = train([5, 4, 3], epochs=3)
    for one, other in zip(past, undisturbed, strict=True):
        assert_all_equal(one, other)


def test_another_loop_that_calls_the_epoch_hooks_is_served():
    x, y = data(8)
    model = small_model()
    model.train_on_batch(x, y)
    stopper = EarlyStopping("loss", patience=2, restore="training_state")
    callbacks = keras.callbacks.CallbackList([stopper], epochs=9, model=model)
    model.stop_training = False
    callbacks.on_train_begin()
    states = []
    for epoch, loss in enumerate([3, 1, 2, 2, 0]):
        callbacks.on_epoch_begin(epoch)
        model.train_on_batch(x, y)
        states.append(whole_state(model))
        callbacks.on_epoch_end(epoch, {"loss": loss})
        if model.stop_training:
            break
    callbacks.on_train_end()
    assert len(states) == 4
    assert_all_equal(whole_state(model), states[1])
