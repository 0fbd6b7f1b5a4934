import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers.autodiff import (
    larger,
    length,
    smaller,
    times,
)


def test_results_are_numpys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5)).astype("float32")
    matrix = rng.normal(size=(3, 5)).astype("float32")
    pairs = [
        (times(ops.array(matrix), ops.array(a)), matrix @ a),
        (length(ops.array(a)), np.linalg.norm(a)),
        (larger(ops.array(a), ops.array(b)), np.maximum(a, b)),
        (smaller(ops.array(a), 0.0), np.minimum(a, 0)),
    ]
    for ours, expected in pairs:
        found = ops.convert_to_numpy(ours)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.skipif(
    keras.config.backend() == "jax", reason="float64 has to be asked for"
)
def test_float64_keeps_all_its_digits():
    third = ops.convert_to_tensor(np.array([1.0, 1.0]) / 3, dtype="float64")
    results = [
        times(ops.eye(2, dtype="float64"), third)[0],
        length(third[:1]),
        larger(third, 0.0)[0],
        smaller(third, 1.0)[0],
    ]
    for result in results:
        assert abs(float(result) - 1 / 3) < 1e-16
