import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import ThresholdedLinearUnit


def run(layer, x):
    return ops.convert_to_numpy(layer(x))


def samples(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_it_starts_as_relu_to_the_bit():
    x = samples(4, 5, 3)
    relu = ops.convert_to_numpy(keras.ops.relu(x))
    np.testing.assert_array_equal(run(ThresholdedLinearUnit(), x), relu)


@pytest.mark.parametrize(
    ("axis", "shape"),
    [(-1, (4, 3)), (-1, (4, 5, 3)), (1, (4, 3, 5, 5)), (-2, (4, 3, 5))],
)
def test_each_channel_has_a_threshold_of_its_own(axis, shape):
    tau = np.array([-0.5, 0.25, -1e9], "float32")
    layer = ThresholdedLinearUnit(axis=axis)
    layer.build(shape)
    layer.tau.assign(tau)
    x = samples(*shape)
    y = np.moveaxis(run(layer, x), axis, -1)
    x = np.moveaxis(x, axis, -1)
    np.testing.assert_array_equal(y, np.maximum(x, tau))
    # Far below all inputs, a threshold changes nothing.
    np.testing.assert_array_equal(y[..., 2], x[..., 2])


def test_threshold_and_inputs_share_the_gradient():
    table = keras.layers.Embedding(3, 1)
    layer = ThresholdedLinearUnit(
        tau_initializer=keras.initializers.Constant(0.5)
    )
    model = keras.Sequential([keras.Input((), dtype="int32"), table, layer])
    table.set_weights([np.array([[1.0], [0.25], [-2.0]])])
    # Three times the mean over the batch: the sum.
    model.compile(keras.optimizers.SGD(3.0), lambda y, out: y * out)
    model.train_on_batch(np.arange(3), np.array([[2.0], [3.0], [5.0]]))
    # Only the first is above: it keeps its 2, the threshold takes 3 and 5.
    np.testing.assert_allclose(
        ops.convert_to_numpy(table.embeddings), [[-1], [0.25], [-2]], rtol=1e-6
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer.tau), [0.5 - 8], rtol=1e-6
    )


def test_regularizer_and_constraint_act_on_the_threshold():
    layer = ThresholdedLinearUnit(
        tau_initializer=keras.initializers.Constant(-2.0),
        tau_regularizer=keras.regularizers.L2(0.5),
        tau_constraint=keras.constraints.NonNeg(),
    )
    layer.build((None, 3))
    penalty = ops.convert_to_numpy(layer.losses[0])
    np.testing.assert_allclose(penalty, 0.5 * 3 * 4)
    tau = layer.tau.constraint(layer.tau)
    np.testing.assert_array_equal(ops.convert_to_numpy(tau), [0, 0, 0])


@pytest.mark.parametrize("axis", [[1, 2], 1.0, None])
def test_bad_argument_says_what_was_received(axis):
    with pytest.raises(ValueError, match="`axis` must be an integer.*axis="):
        ThresholdedLinearUnit(axis=axis)


@pytest.mark.parametrize(
    ("axis", "shape"), [(2, (4, 3)), (-3, (4, 3)), (1, (None, None, 3))]
)
def test_axis_that_names_no_channels_says_what_was_received(axis, shape):
    with pytest.raises(ValueError, match=rf"axis={axis}.*shape \("):
        ThresholdedLinearUnit(axis=axis).build(shape)
