import keras
import numpy as np
import pytest
from keras import ops
from scipy import optimize

from keras_regimen.recipes.harness.datasets import rosenbrock, rosenbrock_start


@pytest.mark.parametrize("dimensions", [2, 3, 10])
def test_value_is_scipys(dimensions):
    x = np.random.default_rng(0).normal(size=dimensions)
    assert rosenbrock(x) == pytest.approx(optimize.rosen(x), rel=1e-12)
    for same in (ops.convert_to_tensor(x), keras.Variable(x, dtype="float64")):
        value = ops.convert_to_numpy(rosenbrock(same))
        assert value.shape == ()
        assert value == pytest.approx(optimize.rosen(x), rel=1e-12)


@pytest.mark.tensorflow
def test_compiled_gradient_is_scipys():
    import tensorflow as tf

    x = np.random.default_rng(0).normal(size=4)
    variable = tf.Variable(x)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            value = rosenbrock(variable)
        return tape.gradient(value, variable)

    slope = tf.convert_to_tensor(gradient()).numpy()
    np.testing.assert_allclose(slope, optimize.rosen_der(x), rtol=1e-10)


@pytest.mark.parametrize("dimensions", [2, 5])
def test_minimum_is_zero_at_ones(dimensions):
    ones = np.ones(dimensions)
    assert rosenbrock(ones) == 0
    np.testing.assert_array_equal(optimize.rosen_der(ones), 0)
    assert rosenbrock(ones + 1e-3) > 0


def test_start_is_the_usual_one():
    assert rosenbrock_start().tolist() == [-1.2, 1]
    assert rosenbrock_start(5).tolist() == [-1.2, 1, -1.2, 1, -1.2]
    # 100 * (1 - 1.44)^2 + 2.2^2 by hand.
    assert rosenbrock(rosenbrock_start()) == pytest.approx(24.2)


@pytest.mark.parametrize("shape", [(1,), (2, 2), ()])
def test_what_is_no_vector_is_refused(shape):
    with pytest.raises(ValueError, match="`x` must be a vector"):
        rosenbrock(np.ones(shape))


@pytest.mark.parametrize("dimensions", [1, 0])
def test_too_few_dimensions_are_refused(dimensions):
    with pytest.raises(ValueError, match=f"dimensions={dimensions}"):
        rosenbrock_start(dimensions)
