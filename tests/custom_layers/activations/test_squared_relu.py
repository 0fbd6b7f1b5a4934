import keras
import numpy as np
from keras import ops

from keras_regimen.custom_layers import SquaredReLU


def test_values_by_hand():
    x = np.array([[-3.0, -0.0, 0.0], [0.5, 1.0, 3.0]], "float32")
    y = ops.convert_to_numpy(SquaredReLU()(x))
    np.testing.assert_array_equal(y, [[0, 0, 0], [0.25, 1, 9]])


def test_gradient_is_twice_the_positive_part():
    values = np.array([[-2.0, -0.5, 0.0, 0.5, 3.0]], "float32")
    inputs = keras.Input((), dtype="int32")
    table = keras.layers.Embedding(1, 5)
    model = keras.Model(inputs, SquaredReLU()(table(inputs)))
    table.set_weights([values])
    model.compile(keras.optimizers.SGD(1.0), lambda _, y: ops.sum(y))
    model.train_on_batch(np.arange(1), np.zeros((1, 5)))
    gradient = values - ops.convert_to_numpy(table.embeddings)
    np.testing.assert_allclose(
        gradient, 2 * np.maximum(values, 0), rtol=1e-6, atol=1e-6
    )


def test_float16_is_finite_up_to_255():
    y = SquaredReLU(dtype="float16")(np.array([255.0]))
    assert float(y[0]) == 65024  # 65025 rounded to eleven bits.
