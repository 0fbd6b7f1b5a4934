import keras
import numpy as np
from keras import ops

from keras_regimen.custom_optimizers.autodiff import (
    FlatVariables,
    Objective,
    compiled,
)


def to_numpy(x):
    return ops.convert_to_numpy(x)


def test_derivatives_of_a_cubic_are_those_on_paper():
    objective = Objective(lambda x: x[0] ** 2 * x[1] + x[1] ** 3)
    x = ops.array([2.0, 3.0])
    value, gradient = objective(x)
    assert float(value) == 39
    np.testing.assert_allclose(to_numpy(gradient), [12, 31], rtol=1e-6)
    product = objective.product(x, ops.array([1.0, 2.0]))
    # [[6, 4], [4, 18]] times (1, 2).
    np.testing.assert_allclose(to_numpy(product), [14, 40], rtol=1e-6)


def test_a_constant_and_a_plane_have_no_curvature():
    x = ops.array([1.0, 2.0])
    for function in (lambda x: ops.sum(3 * x), lambda x: ops.ones(())):
        product = Objective(function).product(x, x)
        np.testing.assert_array_equal(to_numpy(product), [0, 0])
    _, gradient = Objective(lambda x: ops.ones(()))(x)
    np.testing.assert_array_equal(to_numpy(gradient), [0, 0])


def test_a_compiled_function_reads_and_assigns_variables():
    weight = keras.Variable([4.0])
    count = keras.Variable(0, dtype="int32", trainable=False)
    flat = FlatVariables([weight])
    objective = Objective(flat.function(lambda: ops.sum(weight**2) / 2))

    @compiled
    def descend(rate):
        x = flat.read()
        value, gradient = objective(x)
        flat.write(x - rate * gradient)
        count.assign_add(1)
        return value

    rate = ops.array(0.5)
    assert [float(descend(rate)) for _ in range(3)] == [8, 2, 0.5]
    assert weight.numpy() == 0.5
    assert count.numpy() == 3
    weight.assign([2.0])  # It is read anew, not compiled in.
    assert float(descend(rate)) == 2
