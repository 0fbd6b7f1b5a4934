import numpy as np
import pytest
from scipy.optimize import approx_fprime

from keras_regimen.recipes.basics.backpropagation import (
    backward,
    loss,
    relative_error,
)
from keras_regimen.recipes.basics.gradient_checking import (
    NAMES,
    STEPS,
    flat,
    in_pairs,
    measure,
    named_wrong,
    sweep,
    task,
)
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)


def test_the_exact_gradient_is_that_of_scipy():
    weights, x, y = task(3, "float64")
    shapes = [array.shape for array in flat(weights)]
    ends = np.cumsum([np.prod(shape) for shape in shapes])

    def of_vector(vector):
        parts = np.split(vector, ends[:-1])
        arrays = [p.reshape(s) for p, s in zip(parts, shapes, strict=True)]
        return loss(in_pairs(arrays), x, y, "tanh")

    vector = np.concatenate([array.ravel() for array in flat(weights)])
    found = flat(backward(weights, x, y, "tanh"))
    np.testing.assert_allclose(
        np.concatenate([array.ravel() for array in found]),
        approx_fprime(vector, of_vector, 1e-7),
        atol=1e-5,
    )


def test_a_quarter_of_the_rows_is_at_each_kink():
    weights, x, _ = task(0, "float64")
    kernel, bias = weights[0]
    at_a_kink = np.all(x @ kernel + bias == 0, axis=1)
    assert at_a_kink.mean() == pytest.approx(0.25)


def test_at_a_kink_differences_see_half_of_the_slope_on_one_side():
    """Rows at kinks are all that is wrong: without them, none is."""
    weights, x, y = task(0, "float64")
    errors = {
        rows: sweep(weights, x[rows:], y[rows:], "relu")[4] for rows in (0, 8)
    }
    assert errors[0] > 1e-2
    assert errors[8] < 1e-8
    # Of the bias' derivative, the rows at kinks give half or nothing.
    above = backward(
        [(weights[0][0], weights[0][1] + 1e-9), weights[1]], x, y, "relu"
    )
    here = backward(weights, x, y, "relu")
    middle = [(a + h) / 2 for a, h in zip(flat(above), flat(here), strict=True)]
    expected = relative_error(in_pairs(middle), here)
    assert errors[0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("place", range(len(NAMES)))
def test_a_wrong_sign_is_named(place):
    weights, x, y = task(1, "float32")
    assert named_wrong(weights, x, y, "tanh", (place, -1.0)) == [NAMES[place]]


def test_a_fault_below_the_precision_is_not_counted_as_named(monkeypatch):
    """The figure can be more than 0."""
    monkeypatch.setitem(measure.__globals__["FACTORS"], "float32", 1.001)
    hp = HyperParameters({"activation": "tanh", "precision": "float32"})
    figures = measure(hp, 0)
    assert figures["faults_not_named"] == 1
    assert figures["false_alarms"] == 0
    assert STEPS[0] == 0.1
    assert figures["best_digits"] == pytest.approx(
        -np.log10(figures["best_error"])
    )
