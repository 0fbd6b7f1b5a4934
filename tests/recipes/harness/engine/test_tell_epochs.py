import math

import keras
import numpy as np
import pytest

from keras_regimen.custom_models.fit_in_memory import fit_in_memory
from keras_regimen.recipes.harness.contract.metrics import (
    at_best_epoch,
    final,
    steps_to,
    value,
)
from keras_regimen.recipes.harness.engine.news import Teller
from keras_regimen.recipes.harness.engine.tell_epochs import TellEpochs
from keras_regimen.recipes.harness.tuning.goal import Goal

BEST = at_best_epoch("val_loss", monitor="val_loss")
LOGS = [
    {"val_loss": 3.0, "val_error": 0.5, "loss": 1.0},
    {"val_loss": 1.0, "val_error": 0.4, "loss": 0.5},
    {"val_loss": 2.0, "val_error": 0.3, "loss": 0.1},
]


class Always(Teller):
    """Has something to tell after every epoch."""

    due = True


def told(metric, logs, curves=None, epochs=20):
    said = []
    done = len(next(iter(curves.values()))) if curves else 0
    teller = Always("cell", Goal(metric).so_far, said.append)
    callback = TellEpochs(teller, curves or {}, done, steps_per_epoch=8)
    callback.set_params({"epochs": epochs})
    for epoch, log in enumerate(logs, start=done):
        callback.on_epoch_end(epoch, log)
    return said


@pytest.mark.parametrize(
    ("metric", "scores"),
    [
        (BEST, [3.0, 1.0, 1.0]),
        # At the best loss, though it is lower later.
        (at_best_epoch("val_error", monitor="val_loss"), [0.5, 0.4, 0.4]),
        (final("val_error"), [0.5, 0.4, 0.3]),
        (final("loss"), [1.0, 0.5, 0.1]),
        (steps_to("val_error", 0.4), [math.nan, 16.0, 16.0]),
        # They are evaluated after training.
        (final("train_error"), [math.nan] * 3),
        (value("robustness"), [math.nan] * 3),
    ],
)
def test_the_score_is_what_it_would_be_if_the_cell_ended_now(metric, scores):
    said = told(metric, LOGS)
    assert [n.score for n in said] == pytest.approx(scores, nan_ok=True)
    assert [(n.epoch, n.epochs) for n in said] == [(1, 20), (2, 20), (3, 20)]


def test_a_cell_that_goes_on_counts_from_its_beginning():
    # Two epochs are kept; Keras begins at the third of five.
    said = told(BEST, LOGS, {"val_loss": [0.5, 4.0]}, epochs=5)
    assert [n.score for n in said] == [0.5] * 3
    assert [(n.epoch, n.epochs) for n in said] == [(3, 5), (4, 5), (5, 5)]


def test_another_phase_adds_its_epochs_to_those_before():
    teller = Always("cell", Goal(BEST).so_far, (said := []).append)
    callback = TellEpochs(teller, {"val_loss": [0.5] * 4}, 4, 8)
    callback.set_params({"epochs": 3})
    for epoch, log in enumerate(LOGS):
        callback.on_epoch_end(epoch, log)
    assert [(n.epoch, n.epochs) for n in said] == [(5, 7), (6, 7), (7, 7)]


def test_what_is_logged_at_some_epochs_only_keeps_its_place():
    logs = [{"loss": 3.0}, {"loss": 2.0, "val_loss": 5.0}, {"loss": 1.0}]
    metric = at_best_epoch("loss", monitor="val_loss")
    scores = [n.score for n in told(metric, logs)]
    assert scores == pytest.approx([math.nan, 2.0, 2.0], nan_ok=True)


@pytest.mark.parametrize("odd", [None, "best", np.ones(3), object()])
def test_a_log_that_is_no_number_is_passed_over(odd):
    logs = [{**log, "odd": odd} for log in LOGS]
    assert [n.score for n in told(BEST, logs)] == [3.0, 1.0, 1.0]


def test_without_parameters_of_a_fit_nobody_knows_how_many_epochs():
    teller = Always("cell", Goal(BEST).so_far, (said := []).append)
    TellEpochs(teller, {}, 0, 8).on_epoch_end(0, LOGS[0])
    assert (said[0].epoch, said[0].epochs) == (1, None)


# On PyTorch it is plain `fit`, with and without.
@pytest.mark.filterwarnings("ignore:`fit_in_memory` trains")
def test_training_is_the_same_to_the_bit_and_still_compiled():
    x = np.linspace(-1, 1, 12, dtype="float32")[:, None]
    histories = []
    for callbacks in ([], [TellEpochs(Always("", len, print), {}, 0, 3)]):
        keras.utils.set_random_seed(3)
        keras.backend.clear_session()
        model = keras.Sequential(
            [keras.Input((1,)), keras.layers.Dropout(0.5, seed=1)]
        )
        model.add(keras.layers.Dense(1))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        rng = np.random.default_rng(0)
        histories.append(
            fit_in_memory(
                *(model, x, 2 * x),
                batch_size=4,
                epochs=2,
                verbose=0,
                shuffle=rng,
                callbacks=callbacks,
            )
        )
    assert histories[0].history == histories[1].history
    plain, told = (h.params["plain_fit"] for h in histories)
    assert plain == told
