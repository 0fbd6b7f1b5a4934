import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers.time_loop import loop_over_time

X = np.arange(1.0, 13.0, dtype="float32").reshape(2, 3, 2)


def accumulate(position, inputs, active, states):
    """Adds inputs up, and collects the position and the batch's maximum."""
    total, count = states
    here = ops.ones((1, 1)) * ops.cast(position, "float32")
    return [total + inputs, count + 1.0], [here, ops.max(inputs, 0)[None]]


def run(mask=None, **options):
    states = [ops.zeros((2, 2)), ops.zeros((2, 1))]
    mask = None if mask is None else ops.convert_to_tensor(mask)
    result = loop_over_time(
        accumulate, ops.convert_to_tensor(X), states, mask, **options
    )
    return keras.tree.map_structure(ops.convert_to_numpy, result)


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_states_outputs_and_observations_follow_the_steps(unroll, backwards):
    outputs, states, (positions, maxima) = run(
        unroll=unroll, go_backwards=backwards
    )
    x = X[:, ::-1] if backwards else X
    np.testing.assert_array_equal(outputs, np.cumsum(x, axis=1))
    np.testing.assert_array_equal(states[0], X.sum(axis=1))
    np.testing.assert_array_equal(states[1], [[3], [3]])
    np.testing.assert_array_equal(positions, [[[0], [1], [2]]])
    np.testing.assert_array_equal(maxima, x.max(axis=0)[None])


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_masked_samples_keep_state_and_output(unroll, backwards):
    mask = np.array([[True, True, False], [True, False, True]])
    outputs, states, _ = run(mask, unroll=unroll, go_backwards=backwards)
    x = np.where(mask[..., None], X, 0)
    x = x[:, ::-1] if backwards else x
    np.testing.assert_array_equal(outputs, np.cumsum(x, axis=1))
    np.testing.assert_array_equal(states[0], x.sum(axis=1))
    np.testing.assert_array_equal(states[1], [[2], [2]])


def test_step_is_told_which_samples_are_active():
    mask = np.array([[True, True, True], [True, False, True]])

    def step(position, inputs, active, states):
        return states, [ops.cast(active, "float32")]

    _, _, (active,) = loop_over_time(
        step,
        ops.convert_to_tensor(X),
        [ops.zeros((2, 1))],
        ops.convert_to_tensor(mask),
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(active)[..., 0], mask)


def test_unknown_length_runs_compiled():
    class Total(keras.layers.Layer):
        def call(self, inputs):
            zeros = ops.zeros_like(inputs[:, 0])
            states = [zeros, zeros[:, :1]]
            outputs, _, collected = loop_over_time(accumulate, inputs, states)
            return outputs + collected[0]

        def compute_output_shape(self, shape):
            return shape

    inputs = keras.Input((None, 2))
    model = keras.Model(inputs, Total()(inputs))
    for length in (2, 3):
        x = X[:, :length]
        expected = np.cumsum(x, 1) + np.arange(length)[:, None]
        np.testing.assert_allclose(model.predict(x, verbose=0), expected)
