import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import Maxout


def run(layer, x):
    return ops.convert_to_numpy(layer(x))


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    ("shape", "axis"), [((12,), 0), ((4, 12), -1), ((4, 12, 2, 3), 1)]
)
@pytest.mark.parametrize("pieces", [1, 3, 4, 12])
def test_is_the_maximum_of_features_side_by_side(shape, axis, pieces):
    x = normal(*shape)
    groups = np.split(x, 12 // pieces, axis=axis)
    expected = np.concatenate(
        [group.max(axis=axis, keepdims=True) for group in groups], axis=axis
    )
    layer = Maxout(pieces, axis=axis)
    np.testing.assert_array_equal(run(layer, x), expected)
    assert layer.compute_output_shape(shape) == expected.shape


def test_two_pieces_of_opposite_sign_are_the_absolute_value():
    dense = keras.layers.Dense(2, use_bias=False)
    dense.build((None, 1))
    dense.set_weights([np.array([[1.0, -1.0]], "float32")])
    x = normal(8, 1)
    np.testing.assert_array_equal(run(Maxout(2), dense(x)), abs(x))


def test_gradient_goes_to_the_largest_of_each_group():
    values = np.array([[1.0, 3.0, 2.0, -1.0, -5.0, -2.0]], "float32")
    inputs = keras.Input((), dtype="int32")
    table = keras.layers.Embedding(1, 6)
    model = keras.Model(inputs, Maxout(3)(table(inputs)))
    table.set_weights([values])
    weight = ops.convert_to_tensor([10.0, 100.0])
    model.compile(keras.optimizers.SGD(1.0), lambda _, y: ops.sum(y * weight))
    model.train_on_batch(np.arange(1), np.zeros((1, 2)))
    gradient = values - ops.convert_to_numpy(table.embeddings)
    np.testing.assert_allclose(gradient, [[0, 10, 0, 100, 0, 0]], rtol=1e-5)


@pytest.mark.parametrize("pieces", [0, -2, 2.0, "two"])
def test_bad_number_of_pieces_says_what_was_received(pieces):
    with pytest.raises(ValueError, match=f"`num_pieces`.*num_pieces={pieces}"):
        Maxout(pieces)


def test_features_that_make_no_whole_groups_are_refused():
    with pytest.raises(ValueError, match=r"num_pieces=3.*Received: 7 features"):
        Maxout(3)(normal(2, 7))


@pytest.mark.parametrize(
    ("axis", "shape"), [(2, (4, 3)), (-3, (4, 3)), (1, (None, None, 3))]
)
def test_axis_that_names_no_features_says_what_was_received(axis, shape):
    with pytest.raises(ValueError, match=rf"axis={axis}.*shape \("):
        Maxout(1, axis=axis).build(shape)
    with pytest.raises(ValueError, match="`axis` must be an integer.*axis=1.5"):
        Maxout(1, axis=1.5)
