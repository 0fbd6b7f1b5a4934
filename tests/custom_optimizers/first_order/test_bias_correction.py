import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers.first_order.bias_correction import (
    bias_correction,
)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999, 0.99999])
@pytest.mark.parametrize("step", [1, 7, 1000, 10_000_000])
def test_keeps_all_digits_of_float32(beta, step):
    exact = -np.expm1(step * np.log1p(-(1 - np.float64(beta)))) if beta else 1
    found = bias_correction(beta, ops.convert_to_tensor(float(step)))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    # The difference itself has an error of up to 3e-8 / (1 - beta).
    np.testing.assert_allclose(float(found), exact, rtol=3e-7)
