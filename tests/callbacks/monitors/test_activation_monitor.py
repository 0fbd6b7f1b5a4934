import math

import keras
import numpy as np
import pytest
from keras import layers

from keras_regimen.callbacks.monitors.activation_monitor import (
    NEAR,
    ActivationMonitor,
    activation_problems,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3)).astype("float32")


def measured(model, *changes, x=X):
    """Returns the figures of a model as it is, and after each change."""
    monitor = ActivationMonitor(x, every=1)
    monitor.set_model(model)
    monitor.on_train_begin()
    monitor.on_epoch_end(0)
    for epoch, change in enumerate(changes, 1):
        change()
        monitor.on_epoch_end(epoch)
    return list(monitor.figures.values())


@pytest.fixture(scope="module")
def figures():
    """Those of a net, of it with moved biases, and its outputs by NumPy."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, name="linear"),
            layers.ReLU(name="rectified"),
            layers.Dropout(0.5, name="dropped"),
            layers.Dense(5, "tanh", name="bounded"),
        ]
    )
    first, last = model.layers[0], model.layers[-1]
    kernel = RNG.normal(size=(3, 4)).astype("float32")
    # Two units that no row of the data brings to life.
    first.set_weights([kernel, np.array([0.0, -50, 0, -50], "float32")])
    last.set_weights([3 * RNG.normal(size=(4, 5)), np.zeros(5)])

    def move():
        first.bias.assign(first.bias + np.array([0.5, 0, 0, -2], "float32"))

    found = measured(model, move)
    linear = X @ kernel + np.array([0, -50, 0, -50])
    rectified = np.maximum(linear, 0)
    bounded = np.tanh(rectified @ keras.ops.convert_to_numpy(last.kernel))
    return found, {"linear": linear, "rectified": rectified, "bounded": bounded}


def test_mean_and_deviation_are_those_of_all_outputs(figures):
    (found, _), outputs = figures
    for name, output in outputs.items():
        assert found[f"activation_mean/{name}"] == pytest.approx(
            output.mean(), rel=1e-4
        )
        assert found[f"activation_std/{name}"] == pytest.approx(
            output.std(), rel=1e-4
        )
        assert found[f"activation_shift/{name}"] == 0
    assert not any("dropped" in name for name in found)


def test_units_that_are_0_for_the_whole_probe_are_dead(figures):
    (found, _), _ = figures
    assert found["dead_units/rectified"] == 0.5
    assert "dead_units/linear" not in found
    assert "dead_units/bounded" not in found


def test_a_unit_of_small_outputs_lives():
    relu = layers.ReLU(name="relu")
    (found,) = measured(keras.Sequential([keras.Input((3,)), relu]), x=X / 1e4)
    assert found["dead_units/relu"] == 0


def test_outputs_beside_a_bound_are_saturated(figures):
    (found, _), outputs = figures
    expected = np.mean(np.abs(outputs["bounded"]) > 0.95)
    assert 0.1 < expected < 0.9
    assert found["saturated/bounded"] == pytest.approx(expected)
    assert "saturated/linear" not in found


def test_shift_is_in_deviations_of_the_first_measurement(figures):
    (_, found), outputs = figures
    moved = np.sqrt(np.mean(np.square([0.5, 0, 0, 2])))
    deviation = np.sqrt(np.mean(outputs["linear"].var(axis=0)))
    assert found["activation_shift/linear"] == pytest.approx(
        moved / deviation, rel=1e-4
    )


def test_a_wider_distribution_is_a_shift_too():
    scale = layers.Dense(1, use_bias=False, name="scale")
    model = keras.Sequential([keras.Input((1,)), scale])
    scale.set_weights(np.ones((1, 1, 1)))
    x = X[:, :1] - X[:, :1].mean()
    found = measured(
        model, lambda: scale.set_weights(3 * np.ones((1, 1, 1))), x=x
    )
    assert found[1]["activation_shift/scale"] == pytest.approx(2, rel=1e-4)


def test_there_a_sigmoid_has_less_than_a_tenth_of_its_steepest_slope():
    assert NEAR * (1 - NEAR) < 0.1 * 0.25
    assert 1 - (1 - 2 * NEAR) ** 2 < 0.1


def test_channels_are_units_wherever_they_are():
    image = RNG.normal(size=(4, 2, 3, 3)).astype("float32")
    norm = layers.GroupNormalization(1, axis=1, name="norm")
    norm.data_format = "channels_first"
    relu = layers.Activation("relu", name="relu")
    model = keras.Sequential(
        [keras.Input((2, 3, 3)), norm, layers.Permute((2, 3, 1)), relu]
    )
    norm.set_weights(np.array([[1.0, 1.0], [0.0, -50.0]]))
    (found,) = measured(model, x=image)
    assert found["dead_units/relu"] == 0.5
    # By channels, of which one lies 50 below the other.
    assert found["activation_mean/norm"] == pytest.approx(-25, abs=1e-3)
    assert found["activation_std/norm"] == pytest.approx(
        math.hypot(25, 1), rel=1e-2
    )


def test_a_layer_that_is_called_twice_counts_twice():
    shared = layers.Dense(1, use_bias=False, name="shared")
    inputs = keras.Input((1,))
    model = keras.Model(inputs, shared(inputs) + shared(inputs + 4))
    shared.set_weights(np.ones((1, 1, 1)))
    (found,) = measured(model, x=X[:, :1])
    both = np.concatenate([X[:, :1], X[:, :1] + 4])
    assert found["activation_mean/shared"] == pytest.approx(
        both.mean(), rel=1e-5
    )


def test_inner_activations_of_gated_layers_are_not_mistaken_for_outputs():
    inputs = keras.Input((5, 3))
    outputs = layers.SimpleRNN(2, name="rnn")(
        layers.LSTM(2, return_sequences=True, name="lstm")(inputs)
    )
    (found,) = measured(keras.Model(inputs, outputs), x=RNG.random((8, 5, 3)))
    assert "activation_mean/lstm" in found
    assert [name for name in found if "saturated" in name] == ["saturated/rnn"]


def test_problems_are_named_with_their_figures():
    figures = {
        "activation_mean/a": 9.0,
        "dead_units/a": 0.3,
        "dead_units/b": 0.25,
        "saturated/c": 0.625,
    }
    assert activation_problems(figures) == [
        "30 % of the units of `a` are dead: 0 on the whole probe",
        "62.5 % of the outputs of `c` are saturated: beside a bound of its "
        "activation",
    ]
    assert len(activation_problems(figures, dead=0.2, saturated=0.7)) == 2


@pytest.mark.parametrize("name", ["dead", "saturated"])
def test_bad_bounds_are_refused_at_construction(name):
    with pytest.raises(ValueError, match=rf"\[0, 1\].*{name}=1.5"):
        ActivationMonitor(X, **{name: 1.5})
