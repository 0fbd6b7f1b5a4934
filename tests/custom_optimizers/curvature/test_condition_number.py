import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import condition_number


def test_of_least_squares_it_is_that_of_the_squared_matrix():
    x = np.random.default_rng(0).normal(size=(50, 6)).astype("float32")
    x[:, 0] *= 10
    w = keras.Variable(np.ones(6, "float32"))
    found = condition_number(lambda: ops.mean(ops.matmul(x, w) ** 2), [w])
    assert found == pytest.approx(np.linalg.cond(x) ** 2, rel=1e-3)


def test_a_flat_direction_makes_it_infinite():
    w = keras.Variable([1.0, 2.0])
    assert condition_number(lambda: ops.sum(w) ** 2, [w]) == float("inf")


def test_a_saddle_has_none():
    w = keras.Variable([1.0, 2.0])
    with pytest.raises(ValueError, match=r"upwards.*from -2 to 2"):
        condition_number(lambda: w[0] ** 2 - w[1] ** 2, [w])
