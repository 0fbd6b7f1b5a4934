import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import truncated_conjugate_gradient


def solved(matrix, gradient):
    matrix = np.array(matrix, "float32")
    direction, products = truncated_conjugate_gradient(
        lambda v: ops.reshape(ops.matmul(matrix, v[:, None]), (-1,)),
        ops.array(gradient, "float32"),
    )
    return ops.convert_to_numpy(direction), int(products)


def test_it_solves_newtons_equation_near_a_minimum():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(8, 8))
    matrix = root @ root.T + np.eye(8)
    # The smaller the gradient, the smaller the residual relative to it.
    gradient = 1e-8 * rng.normal(size=8)
    direction, products = solved(matrix, gradient)
    expected = -np.linalg.solve(matrix, gradient)
    np.testing.assert_allclose(direction, expected, rtol=0.02, atol=1e-12)
    assert products <= 10


def test_it_stops_early_far_from_a_minimum():
    matrix = np.diag(np.linspace(1, 100, 50))
    gradient = 100 * np.ones(50)
    direction, products = solved(matrix, gradient)
    assert products < 15
    residual = np.abs(matrix @ direction + gradient).sum()
    assert 0 < residual <= 0.5 * np.abs(gradient).sum()


@pytest.mark.parametrize("curvature", [-1.0, 0.0])
def test_without_curvature_it_goes_down_the_gradient(curvature):
    direction, products = solved(curvature * np.eye(2), [3.0, -4.0])
    np.testing.assert_array_equal(direction, [-3, 4])
    assert products == 1


def test_it_keeps_what_it_has_where_the_curvature_turns_negative():
    direction, products = solved(np.diag([10.0, -1.0]), [1.0, 0.5])
    assert products == 2
    assert direction @ np.array([1.0, 0.5]) < 0
    assert np.isfinite(direction).all()
