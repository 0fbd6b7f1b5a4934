import keras
import numpy as np
import pytest
from keras import layers

from keras_regimen.custom_models import evaluate_in_memory, fit_in_memory

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3, 2)).astype("float32")
Y = RNG.integers(0, 3, 20)
X_TEST = RNG.normal(size=(11, 3, 2)).astype("float32")
Y_TEST = RNG.integers(0, 3, 11)
WEIGHTS = RNG.uniform(0.5, 2, 11).astype("float32")

# PyTorch trains with plain `fit`, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch backend:UserWarning")


def build():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((3, 2)),
            layers.GRU(4, dropout=0.3),
            layers.BatchNormalization(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.01, epsilon=1e-3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=["sparse_categorical_crossentropy"],
    )
    return model


@pytest.mark.parametrize("batch_size", [None, 4])
def test_equals_evaluate_and_leaves_the_model_as_it_was(batch_size):
    ours, theirs = build(), build()
    before = [keras.ops.convert_to_numpy(v).copy() for v in ours.variables]
    logs = evaluate_in_memory(ours, X_TEST, Y_TEST, WEIGHTS, batch_size)
    expected = theirs.evaluate(
        X_TEST,
        Y_TEST,
        sample_weight=WEIGHTS,
        batch_size=batch_size,
        verbose=0,
        return_dict=True,
    )
    assert logs == pytest.approx(expected, rel=1e-6)
    assert all(type(value) is float for value in logs.values())
    for variable, value in zip(ours.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value, variable.path)
    assert all(not np.any(v) for v in map(np.asarray, ours.metrics_variables))


def test_training_goes_on_as_if_nothing_had_been():
    measured = []

    def train(on_epoch_end):
        model = build()
        # On PyTorch some of Keras' layers draw from the global state.
        keras.utils.set_random_seed(2)
        history = fit_in_memory(
            model,
            X,
            Y,
            batch_size=5,
            epochs=3,
            shuffle=False,
            verbose=0,
            validation_data=(X_TEST, Y_TEST),
            validation_batch_size=11,
            callbacks=[
                keras.callbacks.LambdaCallback(
                    on_epoch_end=lambda *_: on_epoch_end(model)
                )
            ],
        )
        return model, history.history

    def measure(model):
        measured.append(evaluate_in_memory(model, X_TEST, Y_TEST)["loss"])

    ours, curves = train(measure)
    theirs, expected = train(lambda model: None)
    assert curves == expected
    for one, other in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_array_equal(one, other, one.path)
    # What was measured is what validation on the same data found.
    assert measured == pytest.approx(curves["val_loss"], rel=1e-6)


@pytest.mark.skipif(
    keras.config.backend() == "torch", reason="PyTorch compiles no loops"
)
def test_other_data_of_the_same_shape_are_not_traced_again():
    traces = []

    class Counting(keras.Sequential):
        def compute_loss(self, *args, **kwargs):
            traces.append(1)
            return super().compute_loss(*args, **kwargs)

    model = Counting([keras.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((8, 2), "float32")
    first = evaluate_in_memory(model, x, x[:, :1])
    traced = len(traces)
    assert traced
    second = evaluate_in_memory(model, 0 * x, x[:, :1])
    assert len(traces) == traced
    assert second["loss"] == pytest.approx(1)
    assert second != first


def test_models_that_run_eagerly_are_left_as_they_were_too():
    model = build()
    model.run_eagerly = True
    evaluate_in_memory(model, X_TEST, Y_TEST)
    before = [keras.ops.convert_to_numpy(v).copy() for v in model.variables]
    logs = evaluate_in_memory(model, X_TEST, Y_TEST)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value, variable.path)
    expected = model.evaluate(X_TEST, Y_TEST, verbose=0, return_dict=True)
    assert logs == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": Y_TEST[:3]}, "x of 11, y of 3"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        evaluate_in_memory(build(), **{"x": X_TEST, "y": Y_TEST, **arguments})
