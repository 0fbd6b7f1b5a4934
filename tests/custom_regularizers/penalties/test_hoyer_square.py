import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_regularizers import HoyerSquare

MEASURE = HoyerSquare(1.0)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_equal_weights_are_counted(count):
    w = np.zeros((7, 1))
    w[:count] = -0.3
    assert float(MEASURE(w)) == pytest.approx(count, rel=1e-6)


def test_scale_does_not_matter(wide):
    w = np.random.default_rng(0).normal(size=(5, 4)).astype(wide)
    values = [float(MEASURE(ops.convert_to_tensor(c * w))) for c in (1, 1e-6)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_small_weights_are_pushed_to_zero_and_large_ones_away(gradient):
    w = np.array([3.0, 1.0, 0.1, -0.1])
    slope = gradient(MEASURE, w)
    # The threshold is the squared L2 norm over the L1 norm: 10.02 / 4.2.
    assert ((slope * np.sign(w) > 0) == (np.abs(w) < 10.02 / 4.2)).all()


def test_zero_kernel_has_neither_value_nor_gradient(gradient):
    assert float(MEASURE(np.zeros((3, 2)))) == 0
    np.testing.assert_array_equal(gradient(MEASURE, np.zeros((3, 2))), 0)
