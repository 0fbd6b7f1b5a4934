import numpy as np
import pytest

from keras_regimen.recipes.basics import backpropagation as script
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)


def test_gradient_of_a_net_small_enough_for_paper():
    # One sample x=2 through 1-1-1 units: a = tanh(0.5 x + 0), out = 3 a + 1.
    weights = [
        (np.array([[0.5]]), np.array([0.0])),
        (np.array([[3.0]]), np.array([1.0])),
    ]
    x, y = np.array([[2.0]]), np.array([[0.0]])
    a = np.tanh(1.0)
    error = 2 * (3 * a + 1)  # d (out - y)^2 / d out.
    slope = error * 3 * (1 - a**2)
    (k1, b1), (k2, b2) = script.backward(weights, x, y, "tanh")
    np.testing.assert_allclose(
        [k2[0, 0], b2[0], k1[0, 0], b1[0]],
        [error * a, error, slope * 2, slope],
        rtol=1e-12,
    )


@pytest.mark.parametrize("fault", ["sign", "missing factor"])
def test_a_planted_fault_is_far_outside_the_tolerance(monkeypatch, fault):
    function, derivative = script.ACTIVATIONS["tanh"]
    wrong = {
        "sign": lambda a: -derivative(a),
        "missing factor": lambda a: np.ones_like(a),
    }[fault]
    monkeypatch.setitem(script.ACTIVATIONS, "tanh", (function, wrong))
    figures = script.measure(HyperParameters({"activation": "tanh"}), seed=0)
    assert figures["against_autodiff"] > 1e-2
    assert figures["against_differences"] > 1e-2
