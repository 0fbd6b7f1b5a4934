import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_regularizers import Orthogonal


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (4, 4), (3, 3, 2, 5)])
def test_value_is_that_of_the_singular_values(shape, wide):
    kernel = np.random.default_rng(0).normal(0, 0.5, shape)
    singular = np.linalg.svd(kernel.reshape(-1, shape[-1]))[1]
    expected = ((singular**2 - 1) ** 2).sum()
    found = Orthogonal(1.0)(ops.convert_to_tensor(kernel.astype(wide)))
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (2, 2, 2, 4)])
def test_orthogonal_kernels_are_free(shape, gradient):
    random = np.random.default_rng(0).normal(size=shape)
    left, _, right = np.linalg.svd(
        random.reshape(-1, shape[-1]), full_matrices=False
    )
    kernel = (left @ right).reshape(shape)
    assert float(Orthogonal(1.0)(kernel)) < 1e-10
    slope = gradient(Orthogonal(1.0), kernel)
    np.testing.assert_allclose(slope, 0, atol=1e-5)


def test_axis_says_which_way_the_matrix_lies():
    kernel = np.random.default_rng(0).normal(size=(3, 2, 4))
    turned = np.moveaxis(kernel, 1, -1)
    assert float(Orthogonal(1.0, axis=(0, 2))(kernel)) == pytest.approx(
        float(Orthogonal(1.0)(turned)), rel=1e-6
    )
    assert Orthogonal(0.1).fitted_to(None, (0, 1)).axis == (0, 1)
    assert Orthogonal(0.1, axis=1).fitted_to(None, (0,)).axis == (1,)
