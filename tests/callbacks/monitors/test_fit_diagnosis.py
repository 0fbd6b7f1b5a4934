import keras
import numpy as np
import pytest

from keras_regimen.callbacks.monitors.diagnose import diagnose
from keras_regimen.callbacks.monitors.fit_diagnosis import FitDiagnosis


def test_the_callback_tells_the_history_and_whoever_reads(capsys):
    doctor = FitDiagnosis()
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x = np.ones((4, 1), "float32")
    training = model.fit(
        x, x, validation_data=(x, x), epochs=2, verbose=0, callbacks=[doctor]
    )
    assert doctor.diagnosis.word == "underfitting"
    assert training.params["fit_diagnosis"] is doctor.diagnosis
    assert diagnose(training.history) == doctor.diagnosis
    assert f"underfitting: {doctor.diagnosis.sentence}" in (
        capsys.readouterr().out
    )


def fed(doctor, *logs):
    doctor.on_train_begin()
    for epoch, found in enumerate(logs):
        doctor.on_epoch_end(epoch, found)
    doctor.on_train_end()
    return doctor.diagnosis


def test_each_training_is_diagnosed_by_itself(capsys):
    doctor = FitDiagnosis(verbose=0)
    good = {"loss": 0.1, "val_loss": 0.1}
    assert fed(doctor, {"loss": 1, "val_loss": 1}, good).word == "good fit"
    assert fed(doctor, {"loss": 1, "val_loss": 1}).word == "underfitting"
    assert fed(doctor) is None
    assert capsys.readouterr().out == ""


def test_training_without_validation_ends_with_a_warning():
    with pytest.warns(UserWarning, match="no diagnosis.*validation_data"):
        assert fed(FitDiagnosis(), {"loss": 1.0}) is None


@pytest.mark.parametrize(
    "name",
    [
        "reference",
        "target",
        "underfitting",
        "gap",
        "turn",
        "divergence",
        "label_noise",
    ],
)
def test_bad_arguments_are_refused_at_construction(name):
    with pytest.raises(ValueError, match=f"{name}=nan"):
        FitDiagnosis(**{name: float("nan")})


def test_arguments_are_those_of_the_function():
    logs = [{"loss": 2, "val_loss": 2}, {"loss": 1.5, "val_loss": 1.5}]
    for name, word in [("reference", "good fit"), ("target", "good fit")]:
        doctor = FitDiagnosis(**{name: {"reference": 4, "target": 1.5}[name]})
        assert fed(doctor, *logs).word == word
    assert fed(FitDiagnosis(underfitting=0.2), *logs).word == "good fit"
