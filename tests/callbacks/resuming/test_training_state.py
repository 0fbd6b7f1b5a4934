import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from keras import layers

from keras_regimen.callbacks import (
    Anneal,
    EarlyStopping,
    LearningRateDecay,
    MagnitudePruning,
    PrecheltStopping,
    ReduceLROnPlateau,
    SwapAveragedWeights,
    TrainingState,
)
from keras_regimen.callbacks.learning_rate.learning_rates import rate_of
from keras_regimen.callbacks.resuming.model_state import state_variables
from keras_regimen.callbacks.resuming.state_file import read_state, write_state
from keras_regimen.custom_layers import ScheduledDropout
from keras_regimen.custom_models import fit_in_memory
from keras_regimen.custom_optimizers import GradientNoise, PolyakAveraging

BACKEND = keras.config.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3)).astype("float32")
Y = RNG.normal(size=(20, 1)).astype("float32")
# The first epoch is the best, the second turns the rate down.
LOSSES = [0.3, 0.5, 0.4, 0.35, 0.32]


class CrashError(Exception):
    pass


class CrashIn(keras.callbacks.Callback):
    """Breaks off when an epoch is trained and judged, but not yet saved."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise CrashError


def set_losses(epoch, logs):
    logs["validated"] = logs["val_loss"]
    logs["val_loss"] = LOSSES[epoch % len(LOSSES)]


def script(fit, folder=None, crash_in=None, epochs=5, wait=0, scope=None):
    """Trains as a user's script does; returns all that training changes."""
    keras.utils.set_random_seed(7)
    in_memory = fit is fit_in_memory
    cosine = keras.optimizers.schedules.CosineDecay(0.05, 40)
    dropout = ScheduledDropout(0.0, seed=1)
    with scope or contextlib.nullcontext():
        model = keras.Sequential(
            [
                keras.Input((3,)),
                layers.Dense(8, activation="relu"),
                dropout,
                layers.Dropout(0.2),
                layers.BatchNormalization(),
                layers.Dense(1),
            ]
        )
        adam = keras.optimizers.Adam(cosine if in_memory else 0.05)
        model.compile(PolyakAveraging(GradientNoise(adam, 0.01)), "mse")
    callbacks = [
        Anneal(dropout, "rate", lambda epoch: 0.05 * (epoch % 5)),
        SwapAveragedWeights(),
        MagnitudePruning(lambda epoch: 0.5 * (epoch == 2)),
        PrecheltStopping("PQ", 1e9, strip=2, restore=None),
        keras.callbacks.LambdaCallback(on_epoch_end=set_losses),
        PrecheltStopping("UP", 99, strip=2, restore=None),
        ReduceLROnPlateau(patience=1, factor=0.5, cooldown=9),
        EarlyStopping(patience=epochs, restore="training_state"),
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: time.sleep(wait)
        ),
        CrashIn(crash_in),
    ]
    if not in_memory:
        callbacks.insert(0, LearningRateDecay(cosine))
    saver = [TrainingState(folder)] if folder else []
    try:
        history = fit(
            model,
            X,
            Y,
            batch_size=4,
            epochs=epochs,
            validation_data=(X, Y),
            callbacks=[*callbacks, *saver],
            verbose=0,
        )
    except CrashError:
        return None
    names = ("best", "wait", "best_epoch", "rises", "epochs_seen", "reasons")
    return {
        "history": history.history,
        "epochs": history.epoch,
        "reductions": history.params["rate_reductions"],
        "callbacks": [
            {name: getattr(callback, name, None) for name in names}
            for callback in callbacks
        ],
        "rate": rate_of(model.optimizer),
        "numpy": np.random.permutation(99).tolist(),
        "python": random.random(),
        "variables": [
            keras.ops.convert_to_numpy(variable).tolist()
            for variable in state_variables(model)
        ],
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name] == expected[name], name


# Where epochs are compiled, plain `fit` shows the same again.
PLAIN = () if BACKEND == "torch" else (pytest.mark.slow, pytest.mark.release)


@pytest.mark.parametrize(
    "fit",
    [
        pytest.param(keras.Model.fit, marks=PLAIN),
        pytest.param(
            fit_in_memory,
            marks=pytest.mark.skipif(
                BACKEND == "torch", reason="is plain `fit`"
            ),
        ),
    ],
)
def test_training_after_a_crash_equals_undisturbed_training(fit, tmp_path):
    folder = tmp_path / "new" / "folder"
    assert script(fit, folder, crash_in=3) is None
    resumed = script(fit, folder)
    undisturbed = script(fit)
    assert_same(resumed, undisturbed)
    # All has happened that could have been forgotten.
    assert resumed["epochs"] == list(range(5))
    assert resumed["history"]["sparsity"] == [0, 0, 0.5, 0.5, 0.5]
    assert len(resumed["reductions"]) == 1
    assert resumed["callbacks"][-3]["best_epoch"] == 0
    assert list(folder.iterdir()) == []


def small(folder, *callbacks, epochs=3, units=1, optimizer="sgd", **arguments):
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((3,)), layers.Dense(units)])
    net.compile(optimizer, "mse")
    arguments = {"delete_on_completion": False, **arguments}
    state = TrainingState(folder, **arguments)
    run = {"epochs": epochs, "verbose": 0, "shuffle": False}
    net.fit(X, Y, callbacks=[*callbacks, state], **run)
    return net


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The file of a training that has ended."""
    folder = tmp_path_factory.mktemp("saved")
    small(folder)
    return folder / "training_state.npz"


@pytest.fixture
def folder(saved, tmp_path):
    (tmp_path / saved.name).write_bytes(saved.read_bytes())
    return tmp_path


class Count(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self._begun = set()

    def on_epoch_begin(self, epoch, logs=None):
        self._begun.add(epoch)


@pytest.mark.parametrize(("every", "begun"), [(1, {4}), (3, {3, 4})])
def test_goes_on_after_the_last_saved_epoch(every, begun, tmp_path):
    with pytest.raises(CrashError):
        small(tmp_path, CrashIn(4), Count(), epochs=5, every=every)
    count = Count()
    net = small(tmp_path, CrashIn(None), count, epochs=5, every=every)
    assert count._begun == begun
    assert net.history.epoch == [0, 1, 2, 3, 4]
    # Of the next `fit` too.
    assert net.fit(X, Y, verbose=0).epoch == [0]


def test_generators_go_on(tmp_path):
    def start(crash_in):
        rng = np.random.default_rng(3)
        draw = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: rng.random(),
            on_epoch_end=lambda epoch, logs: logs.update(draw=rng.random()),
        )
        return small(tmp_path, draw, CrashIn(crash_in), also=[rng], epochs=3)

    with pytest.raises(CrashError):
        start(crash_in=1)
    found = start(crash_in=None).history.history["draw"]
    assert found == np.random.default_rng(3).random(6)[1::2].tolist()


def test_a_training_that_has_stopped_is_not_trained_on(tmp_path):
    stop = EarlyStopping("loss", 9.0, patience=2, restore="weights")
    first = small(tmp_path, stop, epochs=9)
    again = EarlyStopping("loss", 9.0, patience=2, restore="weights")
    second = small(tmp_path, again, epochs=9)
    assert second.history.epoch == first.history.epoch == [0, 1, 2]
    assert second.history.params["stop_reason"] == stop.reason == again.reason
    assert second.stop_training
    assert (again.best, again.stopped_epoch) == (stop.best, 2)
    for one, other in zip(
        first.get_weights(), second.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_training_that_has_ended_goes_on_if_more_epochs_are_asked(folder):
    assert small(folder, epochs=4).history.epoch == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"units": 2},
            r"variable 1 of 4 was `sequential/dense/kernel` of shape \(3, 1\), "
            r"float32.*Received: .*shape \(3, 2\)",
        ),
        (
            {"optimizer": "adam"},
            "variable 3 of 4 was `sgd/iteration`.*Received: `adam/iteration`",
        ),
    ],
)
def test_another_model_is_refused_by_its_first_difference(
    change, message, folder
):
    with pytest.raises(ValueError, match=message):
        small(folder, **change)


def test_another_list_of_callbacks_is_refused(folder):
    with pytest.raises(ValueError, match="same order: dict. Received: Count"):
        small(folder, Count())


def test_another_backend_is_refused(saved, tmp_path):
    state = {**read_state(saved), "place": "theano on 1 replica(s)"}
    write_state(tmp_path / saved.name, state)
    message = f"began, with theano .*: {BACKEND} on 1 rep"
    with pytest.raises(ValueError, match=message):
        small(tmp_path)


def test_a_torn_file_is_refused(saved, tmp_path):
    file = tmp_path / saved.name
    file.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"delete it.*{file}.*torn"):
        small(tmp_path)


def test_must_be_the_last_callback(tmp_path):
    last = TrainingState(tmp_path)
    callbacks = keras.callbacks.CallbackList([last, Count()])
    last.set_model(keras.Sequential([keras.Input((1,))]))
    with pytest.raises(ValueError, match="last callback.*Received: Count"):
        callbacks.on_train_begin()


def test_a_model_that_is_not_built_is_refused(tmp_path):
    net = keras.Sequential([layers.Dense(1)], name="vague")
    state = keras.callbacks.CallbackList([TrainingState(tmp_path)], model=net)
    with pytest.raises(ValueError, match="`Input`. Received: model=vague"):
        state.on_train_begin()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"directory": ""}, "directory=''"),
        ({"directory": None}, "directory=None"),
        ({"directory": "a", "every": 0}, "every=0"),
        ({"directory": "a", "every": 1.5}, "every=1.5"),
    ],
)
def test_bad_arguments_say_what_was_received(arguments, message):
    with pytest.raises(ValueError, match=f"Received: {message}"):
        TrainingState(**arguments)


# A training of its own process: how many epochs it has, and how it ends.
PROGRAM = """
import importlib.util, json, sys
import keras
from keras_regimen.custom_models import fit_in_memory
spec = importlib.util.spec_from_file_location("script", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
fit = fit_in_memory if sys.argv[2] == "memory" else keras.Model.fit
scope = None
if sys.argv[2] == "mirrored":
    import tensorflow as tf
    cpus = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpus[0], two)
    scope = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
print("begun", flush=True)
found = module.script(fit, sys.argv[3], epochs=60, wait=0.01, scope=scope)
with open(sys.argv[4], "w") as file:
    json.dump(found, file)
"""


@contextlib.contextmanager
def started(how, folder, result):
    """The program in a process of its own, once it trains."""
    python = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    with subprocess.Popen(
        [*python, __file__, how, str(folder), str(result)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "begun\n"
            yield process
        finally:
            process.kill()


HOW = {
    "tensorflow": ["fit", "memory", "mirrored"],
    "jax": ["fit", "memory"],
    "torch": ["fit"],
}


@pytest.mark.slow
@pytest.mark.release
@pytest.mark.parametrize("how", HOW[BACKEND])
def test_training_killed_at_random_moments_equals_undisturbed(how, tmp_path):
    rng = np.random.default_rng()
    result = tmp_path / "killed.json"
    file = tmp_path / "state" / "training_state.npz"
    kills = amid = 0
    while not result.exists():
        before = file.stat().st_mtime_ns if file.exists() else 0
        with started(how, file.parent, result) as process:
            # Tracing takes seconds: the moments are to lie in training.
            while kills < 6 and process.poll() is None:
                time.sleep(0.01)
                if file.exists() and file.stat().st_mtime_ns != before:
                    time.sleep(rng.uniform(0, 0.4))
                    process.send_signal(signal.SIGKILL)
                    break
            killed = process.wait(timeout=300) == -signal.SIGKILL
        kills += killed
        amid += killed and file.with_name(f"{file.name}.unfinished").exists()
        assert killed or result.exists()
    expected = tmp_path / "undisturbed.json"
    with started(how, "", expected) as process:
        assert process.wait(timeout=300) == 0
    found = json.loads(result.read_text())
    assert_same(found, json.loads(expected.read_text()))
    assert found["epochs"] == list(range(60))
    print(f"{how} on {BACKEND}: {kills} kills, {amid} while writing: equal")
    assert kills >= 3
