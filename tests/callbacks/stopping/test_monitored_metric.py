import keras
import numpy as np
import pytest

from keras_regimen.callbacks.stopping.monitored_metric import (
    metric_direction,
    read_metric,
)


def test_last_word_tells_the_direction_of_an_unknown_metric():
    directions = {
        "loss": "min",
        "val_loss": "min",
        "decoder_loss": "min",
        "error": "min",
        "val_error": "min",
        "mean_squared_error": "min",
        "accuracy_loss": "min",
        "val_accuracy": "max",
        "val_perplexity": None,
        "val_error_rate": None,
    }
    assert {name: metric_direction(name) for name in directions} == directions


def test_metric_of_the_model_tells_its_direction_whatever_its_name():
    inputs = keras.Input((2,))
    outputs = {
        name: keras.layers.Dense(2, name=name)(inputs) for name in ("a", "b")
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        loss="mse",
        metrics={
            "a": [keras.metrics.F1Score("macro", name="score")],
            "b": [keras.metrics.MeanSquaredError(name="accuracy")],
        },
    )
    x, y = np.ones((4, 2)), np.eye(2)[[0, 1, 0, 1]]
    logs = model.evaluate(x, {"a": y, "b": y}, verbose=0, return_dict=True)
    assert {"a_score", "b_accuracy"} <= set(logs)
    assert metric_direction("val_a_score", model) == "max"
    assert metric_direction("b_accuracy", model) == "min"
    assert metric_direction("val_b_score_per_word", model) is None


class OwnMetricsModel(keras.Model):
    """Tracks a metric that was not passed to `compile`."""

    def __init__(self):
        super().__init__()
        self.tracked = keras.metrics.CosineSimilarity(name="likeness")

    @property
    def metrics(self):
        return [self.tracked]


def test_metric_that_a_custom_model_tracks_tells_its_direction():
    assert metric_direction("val_likeness", OwnMetricsModel()) == "max"


def test_array_of_one_value_is_read_and_of_more_refused():
    assert read_metric("f1", {"f1": np.array([0.25])}, False, "") == 0.25
    with pytest.raises(ValueError, match=r"one number.*`f1` of shape \(2,\)"):
        read_metric("f1", {"f1": np.ones(2)}, False, "")


def test_missing_metric_is_an_error_that_lists_the_logs():
    with pytest.raises(ValueError, match=r"`loss`, `f1`.*Received: `f2`"):
        read_metric("f2", {"loss": 1.0, "f1": 1.0}, True, "")
    with pytest.raises(ValueError, match="none at all"):
        read_metric("f2", {}, True, "")


def test_only_a_validation_metric_before_any_validation_is_excused():
    assert read_metric("val_f1", {"loss": 1.0}, True, "") is None
    with pytest.raises(ValueError, match="No validation has run: remedy"):
        read_metric("val_f1", {"loss": 1.0}, False, "remedy")
    with pytest.raises(ValueError, match=r"`val_loss`.*`val_f1`"):
        read_metric("val_f1", {"val_loss": 1.0}, True, "")
