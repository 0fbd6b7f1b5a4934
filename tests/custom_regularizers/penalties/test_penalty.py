import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_regularizers.penalties.penalty import (
    Penalty,
    checked_strength,
)


class Total(Penalty):
    def measure(self, weights):
        return ops.sum(weights)


def test_measure_is_multiplied_in_full_precision():
    # In float16, 4000 + 0.25 would be 4000.
    half = ops.convert_to_tensor([4000.0] + [0.25] * 8, dtype="float16")
    assert float(Total(2.0)(half)) == 8004


def test_fitted_to_is_the_penalty_itself_by_default():
    penalty = Total(2.0)
    assert penalty.fitted_to(np.ones((2, 2)), (0,)) is penalty


def test_strength_becomes_a_python_float():
    assert type(checked_strength(np.float32(0.5))) is float


def test_bad_strength_says_what_was_received():
    with pytest.raises(ValueError, match="strength=-1"):
        checked_strength(-1)
