import csv
import math
import random

import keras
import numpy as np
import pytest
from keras import layers

from keras_regimen.callbacks.monitors.activation_monitor import (
    ActivationMonitor,
)
from keras_regimen.callbacks.monitors.curvature_monitor import CurvatureMonitor
from keras_regimen.callbacks.monitors.gradient_monitor import GradientMonitor
from keras_regimen.callbacks.monitors.probe_monitor import ProbeMonitor
from keras_regimen.custom_models import fit_in_memory

BACKEND = keras.config.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype("float32")
Y = (X.sum(axis=1, keepdims=True) > 0).astype("float32")


class Counted(layers.Layer):
    """Counts how often Python runs it: compiled, only while it is traced."""

    calls = 0

    def call(self, inputs):
        Counted.calls += 1
        return inputs


class Watch(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.weights, self.calls = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())
        self.calls.append(Counted.calls)


def monitors(**arguments):
    return [
        GradientMonitor(X[:8], Y[:8], **arguments),
        ActivationMonitor(X[:8], **arguments),
        CurvatureMonitor(X[:8], Y[:8], products=3, **arguments),
    ]


def trained(fit, *callbacks, **arguments):
    """Trains a net in which much is drawn, counted and averaged."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, "relu", kernel_regularizer="l2", name="first"),
            layers.BatchNormalization(name="norm"),
            # One with a seed, one without.
            layers.Dropout(0.5, seed=1),
            layers.GaussianNoise(0.5),
            Counted(),
            layers.Dense(1, "sigmoid", name="last"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    watch = Watch()
    history = fit(
        model,
        X,
        Y,
        batch_size=8,
        verbose=0,
        callbacks=[*callbacks, watch],
        validation_data=(X, Y),
        **{"epochs": 3, **arguments},
    )
    state = [*model.variables, *model.optimizer.variables]
    return (
        history.history,
        watch,
        [keras.ops.convert_to_numpy(variable.value) for variable in state],
        random.random(),
    )


@pytest.fixture(scope="module", params=["fit", "fit_in_memory"])
def pair(request):
    if request.param == "fit_in_memory" and BACKEND == "torch":
        pytest.skip("`fit_in_memory` is `fit` there")
    fit = {"fit": keras.Model.fit, "fit_in_memory": fit_in_memory}
    fit = fit[request.param]
    looking = monitors(every=2)
    if request.param == "fit_in_memory":
        del looking[-1]  # To save the time of compiling it again.
    return trained(fit), trained(fit, *looking)


def test_training_is_to_the_bit_that_without_monitors(pair):
    (plain, steps, state, drawn), (watched, other, found, other_drawn) = pair
    for name, curve in plain.items():
        np.testing.assert_array_equal(curve, watched[name])
    for one, another in zip(steps.weights, other.weights, strict=True):
        for a, b in zip(one, another, strict=True):
            np.testing.assert_array_equal(a, b)
    # Seeds, averages and slots, too.
    for a, b in zip(state, found, strict=True):
        np.testing.assert_array_equal(a, b)
    # What is made later, without a seed, draws the same.
    assert drawn == other_drawn


def test_history_has_an_entry_for_each_epoch(pair):
    _, (history, *_) = pair
    ours = {name for name in history if "/" in name}
    assert ("sharpness_ratio" in history) == ("hessian_residual" in history)
    assert ours >= {
        "gradient_norm/first",
        "gradient_norm/norm",
        "update_ratio/last",
        "activation_shift/norm",
        "dead_units/first",
        "saturated/last",
    }
    assert len(history["loss"]) == 3
    for name in ours | ({"sharpness_ratio"} & history.keys()):
        first, second, third = history[name]
        assert math.isfinite(first)
        assert math.isnan(second)
        assert math.isfinite(third)


@pytest.mark.skipif(BACKEND == "torch", reason="nothing is traced there")
def test_nothing_is_traced_again_after_the_first_measurement(pair):
    _, (_, watch, *_) = pair
    assert watch.calls[0] == watch.calls[-1]


class Constant(ProbeMonitor):
    """Finds what it is told to find."""

    def __init__(self, values, **arguments):
        arguments = {"every": 1, "csv": None, "log_dir": None, **arguments}
        super().__init__((X[:2],), verbose=1, **arguments)
        self.values = iter(values)
        self.prepared = 0

    def _prepare(self):
        self.prepared += 1
        return lambda x: {"value": next(self.values), "size": len(x)}

    def evaluate(self, figures):
        value = figures["value"]
        return [f"{value} is too large"] if value > 1 else []


def fed(monitor, epochs):
    monitor.set_model(None)
    monitor.on_train_begin()
    for epoch in epochs:
        monitor.on_epoch_end(epoch)


def test_first_and_every_nth_epoch_is_measured_and_problems_are_told(capsys):
    monitor = Constant([1, 2, 3], every=3)
    fed(monitor, range(8))
    assert list(monitor.figures) == [0, 3, 6]
    assert monitor.figures[6] == {"value": 3, "size": 2}
    assert monitor.problems == {3: ["2 is too large"], 6: ["3 is too large"]}
    assert capsys.readouterr().out == (
        "Epoch 4: 2 is too large\nEpoch 7: 3 is too large\n"
    )
    assert monitor.prepared == 1


def test_training_that_goes_on_is_measured_as_if_it_had_not_stopped():
    monitor = Constant([1, 2], every=3)
    fed(monitor, range(4, 10))
    assert list(monitor.figures) == [6, 9]


def test_what_a_measurement_draws_from_python_is_put_back():
    random.seed(0)
    expected = random.random()
    random.seed(0)
    fed(Constant(iter(random.random, None)), [0, 1])
    assert random.random() == expected


def test_each_training_begins_anew():
    monitor = Constant([2, 1])
    fed(monitor, [0])
    fed(monitor, [0])
    assert monitor.figures == {0: {"value": 1, "size": 2}}
    assert monitor.problems == {}
    assert monitor.prepared == 2


def test_measurements_go_to_table_and_tensorboard(tmp_path):
    monitor = Constant(
        [1, 2], every=2, csv=tmp_path / "a.csv", log_dir=tmp_path / "events"
    )
    fed(monitor, range(3))
    rows = list(csv.reader((tmp_path / "a.csv").read_text().splitlines()))
    assert rows == [
        ["epoch", "value", "size"],
        ["0", "1.0", "2.0"],
        ["2", "2.0", "2.0"],
    ]
    (events,) = (tmp_path / "events").iterdir()
    assert events.read_bytes().count(b"\x05value\x15") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every": 0}, "every=0"),
        ({"every": 1.5}, "every=1.5"),
        ({"x": np.zeros((0, 3))}, r"`x`.*at least one.*\[0\] samples"),
        ({"x": {"a": X, "b": X[:5]}}, r"`x`.*\[5, 24\] samples"),
        ({"y": []}, r"`y`.*\[\] samples"),
        ({"y": 1.0}, r"`y`.*\[0\] samples"),
    ],
)
def test_bad_arguments_are_refused_at_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        GradientMonitor(**{"x": X, "y": Y, **arguments})
