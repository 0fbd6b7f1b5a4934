import keras
import numpy as np
import pytest

from keras_regimen.custom_optimizers.autodiff import FlatVariables, Objective


def to_numpy(x):
    return keras.ops.convert_to_numpy(x)


def test_a_vector_read_is_written_back_where_it_came_from():
    first = keras.Variable(np.arange(6.0).reshape(2, 3))
    second = keras.Variable(np.float32(7.0))
    flat = FlatVariables([first, second])
    assert flat.size == 7
    np.testing.assert_array_equal(to_numpy(flat.read()), [*range(6), 7])
    flat.write(flat.read() + 1)
    np.testing.assert_array_equal(
        first.numpy(), np.arange(1.0, 7).reshape(2, 3)
    )
    assert second.numpy() == 8


def test_a_vector_read_does_not_follow_its_variable():
    variable = keras.Variable(np.ones(3, "float32"))
    vector = FlatVariables([variable]).read()
    variable.assign(np.zeros(3, "float32"))
    np.testing.assert_array_equal(to_numpy(vector), np.ones(3))


@pytest.mark.parametrize("others", [[], ["float32"]])
def test_the_vector_is_float32_at_least_and_its_parts_as_they_were(others):
    dtypes = ["float16", *others]
    flat = FlatVariables([keras.Variable([1.0], dtype=d) for d in dtypes])
    assert flat.dtype == "float32"
    parts = flat.split(flat.read())
    found = [keras.backend.standardize_dtype(part.dtype) for part in parts]
    assert found == dtypes


def test_what_a_loss_assigns_is_forgotten():
    weight = keras.Variable([3.0])
    counter = keras.Variable(0.0, trainable=False)

    def loss():
        counter.assign_add(1.0)
        return keras.ops.sum(weight * weight) * counter

    objective = Objective(FlatVariables([weight]).function(loss))
    for _ in range(2):
        value, gradient = objective(keras.ops.array([5.0]))
        assert (float(value), float(gradient[0])) == (25.0, 10.0)
    assert counter.numpy() == 0
    assert weight.numpy() == 3


def test_losses_nest():
    outer = keras.Variable([2.0])
    inner = keras.Variable([3.0])

    def product():
        return keras.ops.sum(outer * inner)

    def loss():  # The inner gradient is the outer variable, squared here.
        flat = FlatVariables([inner])
        _, gradient = Objective(flat.function(product))(flat.read())
        return keras.ops.sum(gradient * gradient)

    value = FlatVariables([outer]).function(loss)(keras.ops.array([7.0]))
    assert float(value) == 49


@pytest.mark.parametrize("shape", [(1,), (2, 2)])
def test_a_loss_that_is_no_scalar_is_refused(shape):
    flat = FlatVariables([keras.Variable([1.0])])
    function = flat.function(lambda: keras.ops.ones(shape))
    with pytest.raises(ValueError, match=rf"scalar.*\({shape[0]},"):
        function(flat.read())


@pytest.mark.parametrize(
    "variables",
    [
        [],
        [np.ones(2)],
        [lambda: keras.Variable(1, dtype="int32", trainable=False)],
    ],
)
def test_what_is_no_float_variable_is_refused(variables):
    variables = [v() if callable(v) else v for v in variables]
    with pytest.raises(ValueError, match=r"`variables`.*Received"):
        FlatVariables(variables)
