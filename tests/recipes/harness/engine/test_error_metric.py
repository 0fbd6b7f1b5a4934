import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.engine.error_metric import (
    ErrorRate,
    error_logged,
)


def compiled(target, loss, units, activation=None, **options):
    with error_logged(target):
        model = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(units, activation)]
        )
        model.compile("sgd", loss, **options)
    return model


def evaluated(model, x, y):
    return model.evaluate(x, y, verbose=0, return_dict=True)


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(40, 2)).astype("float32")


def test_classes_error_is_one_minus_accuracy(x):
    y = np.arange(40) % 3
    model = compiled("classes", "sparse_categorical_crossentropy", 3, "softmax")
    wrong = np.mean(model.predict(x, verbose=0).argmax(axis=-1) != y)
    np.testing.assert_allclose(evaluated(model, x, y)["error"], wrong, 1e-6)


@pytest.mark.parametrize(
    ("loss", "activation", "threshold"),
    [
        (keras.losses.BinaryCrossentropy(from_logits=True), None, 0.0),
        (keras.losses.BinaryCrossentropy(), "sigmoid", 0.5),
        ("binary_crossentropy", "sigmoid", 0.5),
        ("hinge", None, 0.0),
    ],
    ids=["logits", "probabilities", "named", "signed"],
)
def test_binary_threshold_is_that_of_the_output(x, loss, activation, threshold):
    y = (np.arange(40) % 2).astype("float32")[:, None]
    model = compiled("binary", loss, 1, activation)
    model.layers[0].bias.assign([0.3])
    wrong = np.mean((model.predict(x, verbose=0) > threshold) != (y > 0.5))
    np.testing.assert_allclose(evaluated(model, x, y)["error"], wrong, 1e-6)


def test_real_targets_log_the_root_mean_squared_error(x):
    y = x @ np.array([[1.0], [2.0]], "float32")
    model = compiled("real", "mse", 1)
    logs = evaluated(model, x, y)
    np.testing.assert_allclose(logs["rmse"], np.sqrt(logs["loss"]), rtol=1e-6)


def test_labels_at_each_time_step():
    metric = ErrorRate()
    scores = np.eye(3, dtype="float32")[[[0, 1], [2, 2]]]
    metric.update_state(np.array([[0, 1], [2, 0]]), scores)
    assert float(metric.result()) == 0.25


def test_metrics_of_the_script_stay(x):
    model = compiled(
        "classes",
        "sparse_categorical_crossentropy",
        3,
        "softmax",
        metrics=["accuracy"],
    )
    logs = evaluated(model, x, np.arange(40) % 3)
    np.testing.assert_allclose(logs["accuracy"] + logs["error"], 1, rtol=1e-6)


def test_compile_is_left_as_it_was(x):
    compiled("classes", "sparse_categorical_crossentropy", 3)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile(
        "sgd", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    assert "error" not in evaluated(model, x, np.arange(40) % 3)


def test_the_metric_survives_its_config():
    metric = ErrorRate(threshold=0.5, name="miss")
    clone = ErrorRate.from_config(metric.get_config())
    assert clone.get_config() == metric.get_config()
    clone.update_state(np.array([[1.0], [0.0]]), np.array([[0.9], [0.6]]))
    assert float(clone.result()) == 0.5
