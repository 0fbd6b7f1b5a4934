import random
import threading

import keras
import numpy as np

from keras_regimen.recipes.harness.engine.default_seeds import (
    keep_default_seeds,
)


def kernel():
    layer = keras.layers.Dense(4)
    layer.build((None, 3))
    return keras.ops.convert_to_numpy(layer.kernel)


def test_other_threads_draw_elsewhere():
    keras.utils.set_random_seed(3)
    expected = [kernel(), kernel()]
    keep_default_seeds()
    keras.utils.set_random_seed(3)
    found = []
    for _ in range(2):
        thread = threading.Thread(target=random.random)
        thread.start()
        thread.join()
        found.append(kernel())
    np.testing.assert_array_equal(found, expected)


def test_seeds_go_on_where_python_s_stream_was():
    keep_default_seeds()
    keras.utils.set_random_seed(5)
    first = random.random()
    drawn = kernel()
    keep_default_seeds()  # Does nothing the second time.
    assert np.any(kernel() != drawn)
    keras.utils.set_random_seed(5)
    assert random.random() == first
    np.testing.assert_array_equal(kernel(), drawn)
