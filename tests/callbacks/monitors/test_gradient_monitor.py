import math

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.callbacks.monitors.gradient_monitor import (
    GradientMonitor,
    gradient_problems,
)
from keras_regimen.custom_models import FullBatchModel
from keras_regimen.custom_optimizers import LBFGS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 3)).astype("float32")
Y = RNG.normal(size=(16, 1)).astype("float32")


def measured(model, x=X, y=Y, **arguments):
    """Returns the figures of a model as it is."""
    monitor = GradientMonitor(x, y, **arguments)
    monitor.set_model(model)
    monitor.on_train_begin()
    monitor.on_epoch_end(0)
    return monitor.figures[0]


def linear(optimizer, **arguments):
    dense = layers.Dense(1, name="dense", **arguments)
    model = keras.Sequential([keras.Input((3,)), dense])
    dense.set_weights([RNG.normal(size=(3, 1)), np.array([0.5])])
    model.compile(optimizer, "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def gradient_by_hand(model):
    kernel, bias = (weight.astype("float64") for weight in model.get_weights())
    error = 2 * (X @ kernel + bias - Y) / len(X)
    return X.T @ error, error.sum(axis=0)


def test_norm_and_update_of_a_linear_model_by_hand():
    model = linear(keras.optimizers.SGD(0.1))
    slope = math.hypot(*map(np.linalg.norm, gradient_by_hand(model)))
    size = math.hypot(*map(np.linalg.norm, model.get_weights()))
    assert measured(model) == pytest.approx(
        {
            "gradient_norm/dense": slope,
            "update_ratio/dense": 0.1 * slope / size,
        },
        rel=1e-5,
    )


def test_clipping_shows_in_the_update_and_penalties_in_the_gradient():
    penalty = keras.regularizers.L2(0.5)
    optimizer = keras.optimizers.SGD(0.1, global_clipnorm=0.1)
    model = linear(optimizer, kernel_regularizer=penalty)
    kernel, bias = gradient_by_hand(model)
    kernel = kernel + model.get_weights()[0]
    found = measured(model)
    size = math.hypot(*map(np.linalg.norm, model.get_weights()))
    assert found == pytest.approx(
        {
            "gradient_norm/dense": math.hypot(
                np.linalg.norm(kernel), np.linalg.norm(bias)
            ),
            "update_ratio/dense": 0.01 / size,
        },
        rel=1e-4,  # The weights move by what their rounding lets them.
    )


class DoubledInTraining(layers.Layer):
    def call(self, inputs, training=False):
        return 2 * inputs if training else inputs


def test_the_gradient_is_that_of_training():
    norms = []
    for layer in (DoubledInTraining(), layers.Rescaling(2.0)):
        dense = layers.Dense(1, name="dense")
        model = keras.Sequential([keras.Input((3,)), layer, dense])
        dense.set_weights([np.ones((3, 1)), np.zeros(1)])
        model.compile("sgd", "mse")
        model.optimizer.build(model.trainable_variables)
        norms.append(measured(model)["gradient_norm/dense"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


def test_a_scaled_loss_has_the_gradient_of_the_loss():
    plain = linear(keras.optimizers.SGD(0.1))
    scaled = linear(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    )
    scaled.set_weights(plain.get_weights())
    assert measured(scaled) == pytest.approx(measured(plain), rel=1e-5)


def test_layers_are_named_frozen_ones_left_out_and_shared_weights_once():
    frozen = layers.Dense(3, name="frozen", trainable=False)
    embedding = layers.Embedding(5, 3, name="embedding")
    inputs = keras.Input((4,), dtype="int32")
    hidden = layers.SimpleRNN(3, name="rnn")(frozen(embedding(inputs)))
    unused = layers.Dense(2, name="unused")
    unused(hidden)
    model = keras.Model(inputs, layers.Dense(1, name="last")(hidden))
    model.unused, model.own = unused, keras.Variable(np.ones(2))
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    tokens = RNG.integers(5, size=(16, 4))
    found = measured(model, tokens)
    norms = {k[14:]: v for k, v in found.items() if k.startswith("gradient")}
    assert set(norms) >= {"embedding", "rnn", "last"}
    assert "frozen" not in norms
    assert all(norms[name] > 0 for name in ("embedding", "rnn", "last"))
    # What the loss does not depend on has no gradient, and no weights of 0
    # to divide by.
    assert norms.get("unused", 0) == 0


def test_deep_sigmoids_vanish_from_the_top_down():
    model = keras.Sequential([keras.Input((3,))])
    for depth in range(12):
        model.add(layers.Dense(4, "sigmoid", name=f"layer_{depth}"))
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    monitor = GradientMonitor(X, np.ones((16, 4)))
    monitor.set_model(model)
    monitor.on_train_begin()
    monitor.on_epoch_end(0)
    norms = [
        monitor.figures[0][f"gradient_norm/layer_{depth}"]
        for depth in range(12)
    ]
    assert np.all(np.diff(norms) > 0)
    named = [sentence.split("`")[1] for sentence in monitor.problems[0]]
    bound = 1e-4 * norms[-1]
    assert named == [f"layer_{d}" for d in range(12) if norms[d] < bound]
    assert len(named) > 3


def test_a_gradient_whose_square_overflows_has_a_length_still():
    model = linear(keras.optimizers.SGD(0.1))
    model.layers[0].kernel.assign(ops.full((3, 1), 1e20))
    slope = math.hypot(*map(np.linalg.norm, gradient_by_hand(model)))
    assert measured(model)["gradient_norm/dense"] == pytest.approx(
        slope, rel=1e-5
    )


def test_an_optimizer_of_several_evaluations_has_gradients_without_updates():
    dense = layers.Dense(1, name="dense")
    model = FullBatchModel(keras.Sequential([keras.Input((3,)), dense]))
    model.compile(LBFGS(), "mse")
    with pytest.warns(UserWarning, match="not measured.*one gradient"):
        assert list(measured(model)) == ["gradient_norm/dense"]


def test_problems_are_named_with_their_figures():
    assert gradient_problems({"a": 1.0, "b": 999.0, "c": 0.2}) == []
    assert gradient_problems({}) == []
    assert gradient_problems({"a": 0.0, "b": 0.0}) == []
    assert gradient_problems({"a": 0.0, "b": 0.1}) == [
        "the gradient vanishes at `a`: 0, or 0 of the 0.1 of `b`"
    ]
    # Beside an explosion all else looks small.
    assert gradient_problems({"a": 1e-3, "b": 2e3}) == [
        "the gradient explodes at `b`: 2e+03, above 1000"
    ]
    assert gradient_problems({"a": math.nan, "b": math.inf}) == [
        "the gradient explodes at `a`: nan, which is no finite number",
        "the gradient explodes at `b`: inf, which is no finite number",
    ]
    assert len(gradient_problems({"a": 1.0, "b": 5.0}, vanishing=0.5)) == 1
    assert len(gradient_problems({"a": 1.0, "b": 5.0}, exploding=0.5)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vanishing": 1.0}, "vanishing=1.0"),
        ({"vanishing": math.nan}, "vanishing=nan"),
        ({"exploding": 0.0}, "exploding=0.0"),
    ],
)
def test_bad_bounds_are_refused_at_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        GradientMonitor(X, Y, **arguments)
