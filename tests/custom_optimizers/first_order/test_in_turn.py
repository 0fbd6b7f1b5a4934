import math
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import (
    LARS,
    AdaBelief,
    RectifiedAdam,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    Yogi,
)
from keras_regimen.custom_optimizers.first_order.in_turn import in_turn

BACKEND = keras.config.backend()
OPTIMIZERS = [
    lambda: LARS(0.1),
    AdaBelief,
    RectifiedAdam,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    Yogi,
]


def compiled(function):
    """Returns a function of arrays, compiled by XLA where there is XLA."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    return function


@pytest.mark.parametrize("before", [1.0, -math.inf, math.inf, math.nan])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradient_stays_what_it_is_whatever_was_before(before, dtype):
    optimizer = keras.optimizers.SGD()
    shapes = [(2,), (0, 3), (2,)]
    optimizer.build(
        [keras.Variable(np.full(s, before), dtype=dtype) for s in shapes]
    )
    gradient = ops.cast([1.1, -math.inf], dtype)
    for index in range(3):
        found = compiled(lambda g, i=index: in_turn(optimizer, i, g))(gradient)
        assert keras.backend.standardize_dtype(found.dtype) == dtype
        np.testing.assert_array_equal(
            ops.convert_to_numpy(ops.cast(found, "float32")),
            ops.convert_to_numpy(ops.cast(gradient, "float32")),
        )


@pytest.mark.skipif(BACKEND != "tensorflow", reason="reads TensorFlow's HLO")
@pytest.mark.parametrize("make", OPTIMIZERS)
def test_xla_moves_one_variable_after_another(make):
    import tensorflow as tf

    optimizer = make()
    variables = [keras.Variable(np.ones((40, 30), "f")) for _ in range(3)]
    gradients = [tf.ones((40, 30)) for _ in variables]
    optimizer.build(variables)

    @tf.function(jit_compile=True, autograph=False)
    def step(gradients):
        optimizer.apply(gradients, variables)

    text = step.experimental_get_compiler_ir(gradients)(stage="optimized_hlo")
    assert "is_scheduled=true" in text
    readers = re.findall(
        r" fusion\(.*?%arg([012])\.1\b", text[text.index("ENTRY") :]
    )
    # Each gradient has been read for the last time before the next.
    assert set(readers) == set("012")
    assert readers == sorted(readers)
