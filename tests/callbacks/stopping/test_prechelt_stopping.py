import math

import keras
import numpy as np
import pytest

from keras_regimen.callbacks import PrecheltStopping
from keras_regimen.callbacks.stopping.prechelt_criteria import (
    generalization_loss,
    progress_quotient,
    training_progress,
)

NAN = math.nan


def stop_epoch(stopper, validation, training=None):
    """Returns the number, from 1, of the epoch that stops, and the reason."""
    training = validation if training is None else training
    for epoch, errors in enumerate(zip(validation, training, strict=True), 1):
        stop, reason = stopper.evaluate(*errors)
        if stop:
            return epoch, reason
        assert reason is None
    return None, None


def test_formulas_by_hand():
    assert generalization_loss(0.75, best=0.5) == 50
    assert generalization_loss(0.5, best=0.5) == 0
    # Sum 9 over 3 times the minimum 2 is 1.5: 500 per mille above 1.
    assert training_progress([4.0, 2.0, 3.0]) == 500
    assert progress_quotient(50.0, 500.0) == 0.1


def test_formulas_have_an_answer_at_zero_and_infinity():
    assert generalization_loss(0.0, best=0.0) == 0
    assert generalization_loss(0.1, best=0.0) == math.inf
    assert generalization_loss(math.inf, best=2.0) == math.inf
    assert training_progress([0.0, 0.0]) == 0
    assert training_progress([0.5, 0.0]) == math.inf
    assert training_progress([math.inf, 1.0]) == math.inf
    assert training_progress([math.inf, math.inf]) == 0
    assert progress_quotient(0.0, 0.0) == 0
    assert progress_quotient(5.0, 0.0) == math.inf
    assert progress_quotient(5.0, math.inf) == 0
    assert progress_quotient(math.inf, math.inf) == math.inf


def test_generalization_loss_by_hand():
    # Against the best so far: 0, 0, 25, 0 (a new best), 50, 75 per cent.
    errors = [8, 4, 5, 2, 3, 3.5]
    epoch, reason = stop_epoch(PrecheltStopping("GL", 49), errors)
    assert epoch == 5
    assert reason == "generalization loss of `val_loss` is 50 %, above 49 %"
    # More than the threshold, not as much.
    assert stop_epoch(PrecheltStopping("GL", 50), errors)[0] == 6
    assert stop_epoch(PrecheltStopping("GL", 75), errors)[0] is None
    assert stop_epoch(PrecheltStopping("GL", 0), errors)[0] == 3


def test_progress_quotient_by_hand():
    # Strips of 2 epochs. Losses in per cent at their ends: 0, 100, 100, 100;
    # progress in per mille: 500, 250, 125, 62.5; quotients 0, .4, .8, 1.6.
    validation = [4, 2, 4, 4, 4, 4, 4, 4]
    training = [16, 8, 6, 4, 5, 4, 4.5, 4]
    stop = {
        threshold: stop_epoch(
            PrecheltStopping("PQ", threshold, strip=2), validation, training
        )
        for threshold in (0.3, 0.5, 1.5, 1.6)
    }
    assert [stop[t][0] for t in stop] == [4, 6, 8, None]
    assert stop[0.5][1] == (
        "generalization loss of `val_loss`, 100 %, over the training "
        "progress, 125 per mille, is 0.8, above 0.5"
    )


def test_progress_quotient_waits_for_the_end_of_the_strip():
    # At epoch 3 the loss is already 900 per cent.
    validation = [1, 1, 10, 10, 10, 10]
    training = [2, 1, 2, 1, 2, 1]
    stopper = PrecheltStopping("PQ", 0.1, strip=3)
    assert stop_epoch(stopper, validation, training)[0] == 3
    stopper = PrecheltStopping("PQ", 0.1, strip=4)
    assert stop_epoch(stopper, validation, training)[0] == 4


def test_rises_of_successive_strips_by_hand():
    # Ends of strips of 2: 5, 6 (rise), 6 (none), 7, 8, 9 (three rises).
    errors = [9, 5, 9, 6, 9, 6, 0, 7, 0, 8, 0, 9]
    stop = [
        stop_epoch(PrecheltStopping("UP", s, strip=2), errors)
        for s in (1, 2, 3, 4)
    ]
    assert [epoch for epoch, _ in stop] == [4, 10, 12, None]
    assert stop[1][1] == (
        "`val_loss` rose in 2 successive strips of 2 epochs, to 8"
    )


def paper_stop_epoch(criterion, threshold, k, va, tr):
    """Section 2.2 word for word, from the whole curves, epochs from 1."""
    va, tr = np.array([NAN, *va]), np.array([NAN, *tr])

    def gl(t):
        return 100 * (va[t] / va[1 : t + 1].min() - 1)

    def p(t):
        strip = tr[t - k + 1 : t + 1]
        return 1000 * (strip.sum() / (k * strip.min()) - 1)

    def up(s, t):
        if t - k < 1 or not va[t] > va[t - k]:
            return False
        return s == 1 or up(s - 1, t - k)

    for t in range(1, len(va)):
        end = t % k == 0
        if (
            (criterion == "GL" and gl(t) > threshold)
            or (criterion == "PQ" and end and gl(t) / p(t) > threshold)
            or (criterion == "UP" and end and up(threshold, t))
        ):
            return t
    return None


@pytest.mark.parametrize("criterion", ["GL", "PQ", "UP"])
def test_random_curves_stop_where_the_papers_formulas_say(criterion):
    rng = np.random.default_rng(0)
    epochs = set()
    for _ in range(200):
        t = np.arange(60)
        va = 1 + 0.5 * np.exp(-t / 8) + t / 300 + 0.05 * rng.normal(size=60)
        tr = 0.5 + np.exp(-t / 10) + 0.02 * rng.random(size=60)
        k = int(rng.integers(2, 7))
        threshold = {
            "GL": rng.uniform(1, 30),
            "PQ": rng.uniform(0.05, 2),
            "UP": int(rng.integers(1, 5)),
        }[criterion]
        expected = paper_stop_epoch(criterion, threshold, k, va, tr)
        stopper = PrecheltStopping(criterion, threshold, strip=k)
        assert stop_epoch(stopper, va, tr)[0] == expected
        epochs.add(expected)
    # Most of these stop, at many different epochs.
    assert len(epochs) > 10


def test_nan_and_zero_errors_have_a_defined_answer():
    cases = [
        # NaN is an infinite error: above any best, itself never the best.
        (("GL", 5), [NAN, 1, 1], [1] * 3, None),
        (("GL", 5), [1, NAN], [1] * 2, 2),
        (("GL", 5), [NAN] * 5, [1] * 5, None),
        (("UP", 1, 1), [1, NAN], [1] * 2, 2),
        (("UP", 1, 1), [NAN, 1], [1] * 2, None),
        (("UP", 2, 1), [1, NAN, NAN], [1] * 3, 3),
        (("PQ", 5, 2), [1, 1, NAN, NAN], [2, 1, 2, 1], 4),
        (("PQ", 5, 2), [1, 1, 2, 2], [2, 1, NAN, NAN], 4),
        (("PQ", 5, 2), [1, 1, 2, 2], [2, 1, NAN, 1], None),
        # Above a validation error of 0 the loss is infinite.
        (("GL", 1e9), [0, 0, 1], [1] * 3, 3),
        # Without any training progress the quotient is, but not at the best.
        (("PQ", 1e9, 2), [1, 1, 1, 2], [1] * 4, 4),
        (("PQ", 1e9, 2), [1, 1, 1, 1], [0] * 4, None),
        # Training error falling to 0 is infinite progress.
        (("PQ", 1e-9, 2), [1, 2, 1, 2], [1, 0] * 2, None),
    ]
    for arguments, validation, training, expected in cases:
        stopper = PrecheltStopping(*arguments)
        epoch, _ = stop_epoch(stopper, validation, training)
        assert epoch == expected, (arguments, validation, training)


def test_negative_error_is_refused_where_a_ratio_is_taken():
    with pytest.raises(ValueError, match=r"GL.*0 or more.*val_loss=-0\.5"):
        PrecheltStopping("GL", 1).evaluate(-0.5)
    with pytest.raises(ValueError, match=r"PQ.*0 or more.*val_loss=-0\.5"):
        PrecheltStopping("PQ", 1).evaluate(-0.5, 1.0)
    with pytest.raises(ValueError, match=r"PQ.*0 or more.*: loss=-0\.5"):
        PrecheltStopping("PQ", 1).evaluate(1.0, -0.5)
    stopper = PrecheltStopping("UP", 1, strip=1)
    assert stop_epoch(stopper, [-3.0, -4.0, -3.5])[0] == 3


def test_quotient_without_a_training_error_is_refused():
    with pytest.raises(ValueError, match=r"PQ.*: loss=None"):
        PrecheltStopping("PQ", 1).evaluate(1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"criterion": "gl"}, "`criterion`.*\"PQ\".*criterion='gl'"),
        ({"threshold": -1.0}, r"`threshold` of GL.*threshold=-1\.0"),
        ({"threshold": NAN}, "`threshold` of GL.*threshold=nan"),
        ({"threshold": "5"}, "`threshold` of GL.*threshold=5"),
        ({"criterion": "UP"}, r"`threshold`.*integer, 1.*threshold=2\.5"),
        ({"criterion": "UP", "threshold": 0}, "`threshold`.*threshold=0"),
        ({"strip": 0}, "`strip`.*integer, 1 or more.*strip=0"),
        ({"criterion": "PQ", "strip": 1}, "`strip`.*2 or more.*strip=1"),
        ({"restore": True}, "`restore`.*restore=True"),
        ({"monitor": "val_accuracy"}, "lower is better.*'val_accuracy'"),
    ],
)
def test_bad_argument_says_what_was_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        PrecheltStopping(**{"criterion": "GL", "threshold": 2.5, **arguments})


def end_epochs(stopper, logs, model=None):
    stopper.set_model(model or keras.Sequential())
    stopper.on_train_begin()
    for epoch, epoch_logs in enumerate(logs):
        stopper.on_epoch_end(epoch, epoch_logs)
    stopper.on_train_end()


def test_metric_that_the_model_maximizes_is_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[keras.metrics.R2Score(name="fit")])
    logs = model.evaluate(
        np.eye(2), np.eye(2)[:, :1], verbose=0, return_dict=True
    )
    stopper = PrecheltStopping("GL", 5, monitor="fit")
    with pytest.raises(ValueError, match=r"lower is better.*monitor='fit'"):
        end_epochs(stopper, [logs], model)


@pytest.mark.parametrize("criterion", ["GL", "PQ", "UP"])
def test_validation_once_per_strip_is_enough(criterion):
    # As `validation_freq=3` logs.
    logs = [{"loss": 3.0}, {"loss": 2.0}, {"loss": 1.0, "val_loss": 1.0}]
    stopper = PrecheltStopping(criterion, 1, strip=3, restore=None)
    end_epochs(stopper, [*logs, *logs[:2], {"loss": 1.0, "val_loss": 19.0}])
    assert stopper.stopped_epoch == 5


@pytest.mark.parametrize("criterion", ["GL", "PQ", "UP"])
def test_strip_without_validation_is_an_error(criterion):
    stopper = PrecheltStopping(criterion, 1, strip=2)
    with pytest.raises(ValueError, match=r"`validation_data`.*multiple of n"):
        end_epochs(stopper, [{"loss": 1.0}] * 2)
    assert stopper.epochs_seen == 1


def test_strip_may_not_end_between_validations():
    both = {"loss": 1.0, "val_loss": 1.0}
    logs = [{"loss": 1.0}, {"loss": 1.0}, both, {"loss": 1.0}]
    with pytest.raises(ValueError, match="multiple of n, not 3"):
        end_epochs(PrecheltStopping("UP", 1, strip=3), [*logs, logs[0]] * 2)


@pytest.mark.parametrize("criterion", ["GL", "UP"])
def test_only_the_quotient_needs_the_training_error(criterion):
    logs = [{"val_loss": 1.0}] * 4
    end_epochs(PrecheltStopping(criterion, 5, strip=2), logs)
    with pytest.raises(ValueError, match=r"`val_loss`.*Received: `loss`"):
        end_epochs(PrecheltStopping("PQ", 5, strip=2), logs)


def test_weights_of_the_best_validation_epoch_come_back_by_default(capsys):
    x = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    losses, seen = [4, 2, 3, 5, 0], []

    def on_epoch_end(epoch, logs):
        seen.append(model.get_weights())
        logs["val_loss"] = losses[epoch]

    write = keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)
    stopper = PrecheltStopping("GL", 100, verbose=1)
    history = model.fit(
        x, x[:, :1], epochs=5, verbose=0, callbacks=[write, stopper]
    )
    assert len(seen) == 4
    for one, other in zip(model.get_weights(), seen[1], strict=True):
        np.testing.assert_array_equal(one, other)
    reason = "generalization loss of `val_loss` is 150 %, above 100 %"
    assert history.params["stop_reason"] == stopper.reason == reason
    assert capsys.readouterr().out == (
        f"Epoch 4: early stopping: {reason}\n"
        "Restoring model weights from the end of the best epoch: 2.\n"
    )


def test_second_training_starts_afresh():
    stopper = PrecheltStopping("UP", 1, strip=2, restore=None)
    for _ in range(2):
        logs = [{"val_loss": error} for error in (3, 5, 3, 4)]
        end_epochs(stopper, logs)
        assert stopper.reason is None
    assert (stopper.best, stopper.best_epoch) == (3, 0)
