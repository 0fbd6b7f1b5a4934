import random

import keras
import numpy as np

from keras_regimen.callbacks.resuming.random_states import (
    random_states,
    set_random_states,
)
from keras_regimen.callbacks.resuming.state_file import read_state, write_state


def draw():
    found = [random.random(), random.gauss(), *np.random.normal(size=3)]
    if keras.config.backend() == "torch":
        # What Keras' `Dropout` draws from there.
        ones = keras.ops.ones((64,))
        layer = keras.layers.Dropout(0.5)
        dropped = layer(ones, training=True)
        found += keras.ops.convert_to_numpy(dropped).tolist()
    return found


def test_draws_repeat_after_a_way_through_a_file(tmp_path):
    draw()
    write_state(tmp_path / "state", random_states())
    first, second = draw(), draw()
    set_random_states(read_state(tmp_path / "state"))
    assert draw() == first != second
