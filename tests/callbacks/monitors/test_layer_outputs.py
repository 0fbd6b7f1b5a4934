import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.callbacks.monitors.layer_outputs import layer_outputs


def test_outputs_of_nested_and_subclassed_models_are_found():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = keras.Sequential([layers.ReLU(name="relu")])

        def call(self, inputs):
            return self.inner(inputs) + self.inner(inputs - 1)

    model = Own()
    model(ops.zeros(3))  # Builds it, on what is no data.
    with layer_outputs({"relu": model.inner.layers[0]}) as outputs:
        model(ops.array([-1.0, 0.5, 2.0]))
    assert [ops.convert_to_numpy(o).tolist() for o in outputs["relu"]] == [
        [0.0, 0.5, 2.0],
        [0.0, 0.0, 1.0],
    ]


def test_of_several_outputs_the_first_counts_and_integers_do_not():
    lstm = layers.LSTM(2, return_state=True)
    ints = layers.Lambda(lambda x: ops.cast(x, "int32"))
    with layer_outputs({"lstm": lstm, "ints": ints}) as outputs:
        sequence, *_ = lstm(ops.ones((1, 3, 1)))
        ints(sequence)
    assert list(outputs) == ["lstm"]
    assert len(outputs["lstm"]) == 1
    np.testing.assert_array_equal(
        ops.convert_to_numpy(outputs["lstm"][0]),
        ops.convert_to_numpy(sequence),
    )


def test_layers_are_left_as_they_were_even_by_an_error():
    layer = layers.ReLU()
    own = layers.ReLU()
    own_call = vars(own)["call"] = lambda inputs: inputs
    with (
        pytest.raises(ValueError, match="ndim"),
        layer_outputs({"layer": layer, "own": own}),
    ):
        layers.LSTM(2)(layer(ops.ones(3)))
    assert "call" not in vars(layer)
    assert vars(own)["call"] is own_call
