import keras
import numpy as np

from keras_regimen.custom_optimizers.first_order.add_decaying import (
    add_decaying,
)


def test_slot_is_the_sum_of_terms_that_fade():
    terms = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    optimizer, slot = keras.optimizers.SGD(), keras.Variable(np.zeros(3, "f"))
    for term in terms:
        given = keras.ops.array(term)
        new = keras.ops.convert_to_numpy(
            add_decaying(optimizer, slot, 0.75, given)
        )
        np.testing.assert_array_equal(new, keras.ops.convert_to_numpy(slot))
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(given), term)
    shares = 0.75 ** np.arange(4, -1, -1)
    np.testing.assert_allclose(new, shares @ terms, rtol=2e-6)
