import csv
import math

import keras
import pytest

from keras_regimen.callbacks.monitors.monitor_log import MonitorLog


class Model:
    """All that a log asks of a model."""

    def __init__(self, **curves):
        self.history = keras.callbacks.History()
        self.history.history.update(curves)


def table(path):
    return list(csv.reader(path.read_text().splitlines()))


def begun(model, **arguments):
    log = MonitorLog(**arguments)
    log.begin(model)
    return log


@pytest.mark.parametrize("noted_first", [False, True])
def test_curves_have_an_entry_for_each_epoch(noted_first):
    model = Model()
    model.history.on_train_begin()
    logs = [begun(model), begun(model)]
    model.history.set_model(model)
    for epoch, figures in enumerate([{}, {"a": 1.0, "b": 2.0}, {}, {"a": 3}]):
        if noted_first:
            model.history.on_epoch_end(epoch, {"loss": 0.0})
        if epoch > 0:
            # Of two monitors, neither is misled by what the other writes.
            logs[0].write(epoch, ["c"], {})
            logs[1].write(epoch, ["a", "b"], figures)
        if not noted_first:
            model.history.on_epoch_end(epoch, {"loss": 0.0})
    nan = pytest.approx(math.nan, nan_ok=True)
    assert model.history.history == {
        "a": [nan, 1.0, nan, 3.0],
        "b": [nan, 2.0, nan, nan],
        "c": [nan] * 4,
        "loss": [0.0] * 4,
    }


def test_a_history_that_is_used_again_goes_on():
    model = Model(loss=[1.0, 0.5])
    model.history.on_train_begin()
    begun(model).write(0, ["a"], {"a": 1.0})
    nan = pytest.approx(math.nan, nan_ok=True)
    assert model.history.history["a"] == [nan, nan, 1.0]


def test_a_loop_without_a_history_may_still_write_a_table(tmp_path):
    path = tmp_path / "new" / "a.csv"
    begun(object(), csv=path).write(0, ["a", "b"], {"b": 0.5})
    assert table(path) == [["epoch", "a", "b"], ["0", "nan", "0.5"]]


def test_table_is_replaced_by_a_new_training_and_continued_by_a_later(tmp_path):
    path = tmp_path / "a.csv"
    for first in (0, 0, 2):
        log = begun(Model(), csv=str(path))
        log.write(first, ["a"], {"a": 1.0})
        log.write(first + 1, ["a"], {})
    assert table(path) == [["epoch", "a"], ["0", "1.0"], ["2", "1.0"]]


def test_events_are_written_to_one_file_for_each_training(tmp_path):
    log = begun(Model(), log_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []
    log.write(0, ["a"], {"a": 1.0})
    log.write(1, ["a"], {"a": 2.0})
    (path,) = tmp_path.iterdir()
    assert path.read_bytes().count(b"\x01a\x15") == 2
