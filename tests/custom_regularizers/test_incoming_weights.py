import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_regularizers.incoming_weights import (
    as_rows,
    checked_axis,
    in_full_precision,
    incoming_axes,
)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5,), (0,)),
        ((4, 3), (0,)),
        ((3, 2, 3), (0, 1)),
        ((1, 1, 2, 3), (0, 1, 2)),
    ],
)
def test_last_axis_counts_the_units(shape, axes):
    assert incoming_axes(np.zeros(shape)) == axes


IMAGES = (None, 5, 5, 4)


@pytest.mark.parametrize(
    ("layer", "shape", "name", "axes"),
    [
        (keras.layers.Dense(2), (None, 4), "kernel", (0,)),
        (keras.layers.Conv1D(2, 3), (None, 5, 4), "kernel", (0, 1)),
        (keras.layers.DepthwiseConv1D(3), (None, 5, 4), "kernel", (0,)),
        (
            keras.layers.DepthwiseConv2D(3, name="block1a_dwconv"),
            IMAGES,
            "kernel",
            (0, 1),
        ),
        # Not every "dw" is a depthwise convolution.
        (
            keras.layers.Conv2D(2, 3, name="hardwired"),
            IMAGES,
            "kernel",
            (0, 1, 2),
        ),
        (keras.layers.Conv2DTranspose(2, 3), IMAGES, "kernel", (0, 1, 3)),
        (
            keras.layers.SeparableConv2D(2, 3),
            IMAGES,
            "depthwise_kernel",
            (0, 1),
        ),
        (
            keras.layers.SeparableConv2D(2, 3),
            IMAGES,
            "pointwise_kernel",
            (0, 1, 2),
        ),
        (keras.layers.LSTM(2), (None, 5, 4), "recurrent_kernel", (0,)),
        (keras.layers.Embedding(6, 2), (None, 5), "embeddings", (1,)),
    ],
)
def test_variables_tell_of_their_layers(layer, shape, name, axes):
    layer.build(shape)
    (variable,) = [w for w in layer.weights if w.name == name]
    assert incoming_axes(variable) == axes


def test_axes_are_counted_from_the_front():
    assert incoming_axes(np.zeros((2, 3, 4)), (-1, 0)) == (0, 2)


@pytest.mark.parametrize("axis", [(2,), (-3,), (0, -2)])
def test_axes_that_weights_lack_are_refused(axis):
    with pytest.raises(ValueError, match=r"Received: axis=.*\(2, 3\)"):
        incoming_axes(np.zeros((2, 3)), axis)


def test_scalar_is_refused():
    with pytest.raises(ValueError, match="a scalar"):
        incoming_axes(np.zeros(()))


@pytest.mark.parametrize("axis", [0.5, "0", (), (0, 0), (0, None), True])
def test_bad_axis_says_what_was_received(axis):
    if axis is True:  # A bool is an int in Python: in a tuple it is refused.
        axis = (True,)
    with pytest.raises(ValueError, match="Received: axis="):
        checked_axis(axis)


def test_rows_hold_the_units_and_come_back():
    weights = np.arange(24.0).reshape(2, 3, 4)
    rows, restored = as_rows(ops.convert_to_tensor(weights), (0, 2))
    expected = [weights[:, unit].ravel() for unit in range(3)]
    np.testing.assert_array_equal(ops.convert_to_numpy(rows), expected)
    np.testing.assert_array_equal(ops.convert_to_numpy(restored(rows)), weights)


@pytest.mark.parametrize(
    ("dtype", "full"), [("float16", "float32"), ("float32", "float32")]
)
def test_half_floats_are_widened(dtype, full):
    found = in_full_precision(ops.ones((2,), dtype=dtype)).dtype
    assert keras.backend.standardize_dtype(found) == full


def test_double_precision_stays(wide):
    found = in_full_precision(ops.ones((2,), dtype=wide)).dtype
    assert keras.backend.standardize_dtype(found) == wide
