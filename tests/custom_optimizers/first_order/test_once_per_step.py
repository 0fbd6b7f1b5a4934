import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers.first_order.once_per_step import (
    OncePerStep,
)


class Slower(OncePerStep, keras.optimizers.SGD):
    """SGD that divides by the number of the step, and counts who asks."""

    def __init__(self, **kwargs):
        super().__init__(1.0, **kwargs)
        self.asked = []

    def scalars(self, learning_rate, dtype):
        self.asked.append(dtype)
        steps = ops.cast(self.iterations + 1, dtype)
        return ops.cast(learning_rate, dtype) / steps

    def update_step(self, gradient, variable, learning_rate):
        rate = self.scalars_of_step(learning_rate, variable.dtype)
        self.assign_sub(variable, rate * gradient)


def variables():
    dtypes = ["float32", "float16", "float32"]
    return [keras.Variable(8.0, dtype=dtype) for dtype in dtypes]


def test_each_step_computes_them_once_for_each_dtype():
    optimizer, weights = Slower(), variables()
    for steps in (1, 2):
        optimizer.apply([ops.ones((), w.dtype) for w in weights], weights)
        assert optimizer.asked == ["float32", "float16"] * steps
    found = [float(ops.convert_to_numpy(weight)) for weight in weights]
    assert found == [6.5] * 3  # 8 - 1 - 1 / 2


def test_steps_that_only_gather_gradients_leave_nothing_behind():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 1))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    optimizer = Slower(gradient_accumulation_steps=2)
    model.compile(optimizer, "mse")
    model.fit(x, y, batch_size=2, epochs=2, verbose=0)
    assert int(ops.convert_to_numpy(optimizer.iterations)) == 4
    # What a trace computed is of no use after it.
    rate = optimizer.scalars_of_step(1.0, "float32")
    assert float(ops.convert_to_numpy(rate)) == pytest.approx(1 / 5)
