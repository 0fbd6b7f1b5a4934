import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import check_gradients

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 4)).astype("float32")
Y = RNG.integers(0, 3, 16)


def weights_by_hand():
    rng = np.random.default_rng(1)
    shapes = {"w1": (4, 6), "b1": (6,), "w2": (6, 3), "b2": (3,)}
    return {
        name: keras.Variable(0.5 * rng.normal(size=s).astype("float32"))
        for name, s in shapes.items()
    }


def squared_loss(weights):
    hidden = ops.tanh(ops.matmul(X, weights["w1"]) + weights["b1"])
    return ops.mean((ops.matmul(hidden, weights["w2"]) + weights["b2"]) ** 2)


def backward(weights):
    """The gradient of `squared_loss` in NumPy."""
    w = {
        k: ops.convert_to_numpy(v).astype("float64") for k, v in weights.items()
    }
    hidden = np.tanh(X @ w["w1"] + w["b1"])
    outputs = hidden @ w["w2"] + w["b2"]
    delta = 2 * outputs / outputs.size
    below = (delta @ w["w2"].T) * (1 - hidden**2)
    return {
        "w1": X.T @ below,
        "b1": below.sum(0),
        "w2": hidden.T @ delta,
        "b2": delta.sum(0),
    }


def check_by_hand(fault):
    weights = weights_by_hand()

    def gradients():
        found = backward(weights)
        fault(found)
        return [array.astype("float32") for array in found.values()]

    report = check_gradients(
        lambda: squared_loss(weights),
        variables=list(weights.values()),
        gradients=gradients,
    )
    paths = {v.path: name for name, v in weights.items()}
    return [paths[path] for path in report.wrong], report


def negate(found):
    found["b1"] = -found["b1"]


def scale(found):
    found["w2"] *= 1.05


def forget(found):
    found["w1"] *= 0


def flip_the_largest_entry(found):
    place = np.unravel_index(np.argmax(np.abs(found["w1"])), (4, 6))
    found["w1"][place] *= -1


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        (lambda found: None, []),
        (negate, ["b1"]),
        (scale, ["w2"]),
        (forget, ["w1"]),
        (flip_the_largest_entry, ["w1"]),
    ],
)
def test_a_planted_fault_is_found_and_its_weight_named(fault, wrong):
    assert check_by_hand(fault)[0] == wrong


def test_the_report_shows_the_worst_entry_with_both_figures():
    _, report = check_by_hand(flip_the_largest_entry)
    (check,) = (c for c in report.weights if not c.passed)
    assert check.gradient == pytest.approx(-check.difference, rel=0.02)
    (line,) = (x for x in str(report).splitlines() if x.startswith("WRONG"))
    assert str(check.where) in line
    assert f"{check.gradient:.6g}" in line


@pytest.fixture(scope="module")
def relu_net():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(16, "relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Dense(16, "relu", kernel_regularizer="l2"),
            keras.layers.Dense(3, "softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("targets", [None, Y])
def test_kinks_and_dropout_are_no_reason_to_cry_wolf(
    relu_net, targets, training
):
    before = [ops.convert_to_numpy(v) for v in relu_net.variables]
    x = X.copy()
    x[:3] = 0  # With biases of 0, exactly at every kink of the first layer.
    report = check_gradients(relu_net, x, targets, training=training)
    assert report.passed, str(report)
    decided = sum(c.checks - c.undecided for c in report.weights)
    assert decided > sum(c.checks for c in report.weights) / 2
    assert report.weights[-1].weight == "inputs"
    for variable, value in zip(relu_net.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


class WrongSquare(keras.layers.Layer):
    """Squares, and says that the derivative were x instead of 2 x."""

    def build(self, input_shape):
        self.gain = self.add_weight(shape=(), initializer="ones", name="gain")

    def call(self, inputs):
        # The value of x^2, the gradient of x^2 / 2.
        half = ops.square(inputs) / 2
        return (half + ops.stop_gradient(half)) * self.gain


def test_a_layer_with_a_wrong_gradient_of_its_own_is_caught():
    report = check_gradients(WrongSquare(), X)
    assert report.wrong == ["inputs"]


def test_a_weight_without_any_effect_passes():
    used, unused = keras.Variable([1.0, 2.0]), keras.Variable([3.0])
    report = check_gradients(
        lambda: ops.sum(used**3), variables=[used, unused], samples=None
    )
    assert report.passed
    assert report.weights[1].undecided == report.weights[1].checks == 3


@pytest.mark.skipif(
    keras.config.backend() == "jax", reason="JAX has float64 off by default"
)
def test_float64_sees_a_small_fault():
    w = keras.Variable([1.0, -2.0], dtype="float64")

    def passed(factor):
        return check_gradients(
            lambda: ops.sum(ops.exp(w)),
            variables=[w],
            gradients=lambda: [factor * ops.exp(w.value)],
        ).passed

    assert passed(1.0)
    assert not passed(1.0001)


def test_weights_come_back_where_the_gradient_raises():
    w = keras.Variable([1.0, 2.0])

    def gradients():
        raise RuntimeError("no gradient")

    with pytest.raises(RuntimeError, match="no gradient"):
        check_gradients(lambda: ops.sum(w), variables=[w], gradients=gradients)
    np.testing.assert_array_equal(ops.convert_to_numpy(w), [1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variables": None}, "needs `variables`.*variables=None"),
        ({"samples": 0}, "`samples`.*samples=0"),
        ({"tolerance": -1}, "`tolerance`.*tolerance=-1"),
        ({"gradients": lambda: [np.ones(3)]}, r"\[\(2,\)\].*\[\(3,\)\]"),
        ({"target": keras.layers.Dense(1)}, "`inputs`.*inputs=None"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    w = keras.Variable([1.0, 2.0])
    arguments = {
        "target": lambda: ops.sum(w), "variables": [w], **arguments
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        check_gradients(**arguments)
