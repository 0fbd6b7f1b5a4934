import numpy as np
import pytest
from keras import ops

from keras_regimen.callbacks.monitors.short_lanczos import (
    largest_eigenvalue,
    short_lanczos,
)

RNG = np.random.default_rng(0)


def found(matrix, steps):
    matrix = ops.convert_to_tensor(matrix, "float32")
    start = ops.convert_to_tensor(RNG.normal(size=len(matrix)), "float32")
    diagonal, beside = short_lanczos(
        lambda v: (matrix @ v[:, None])[:, 0], start, steps
    )
    return [ops.convert_to_numpy(part) for part in (diagonal, beside)]


def symmetric(eigenvalues):
    size = len(eigenvalues)
    basis, _ = np.linalg.qr(RNG.normal(size=(size, size)))
    return basis @ np.diag(eigenvalues) @ basis.T


def test_all_of_a_small_matrix_is_in_the_tridiagonal_one():
    matrix = symmetric([-3.0, -1.0, 0.5, 2.0])
    diagonal, beside = found(matrix, 4)
    assert np.sum(diagonal) == pytest.approx(np.trace(matrix), abs=1e-4)
    tridiagonal = (
        np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    )
    np.testing.assert_allclose(
        np.linalg.eigvalsh(tridiagonal), [-3, -1, 0.5, 2], atol=1e-4
    )


@pytest.mark.parametrize("steps", [3, 10, 60])
def test_an_exact_eigenvalue_is_as_near_as_the_residual(steps):
    # With 60 steps all orthogonality is lost, and the largest comes again.
    eigenvalues = np.append(RNG.normal(size=90), [9.0, 10.0])
    value, residual = largest_eigenvalue(*found(symmetric(eigenvalues), steps))
    assert value <= 10 + 1e-4
    assert np.min(np.abs(eigenvalues - value)) <= residual + 1e-4
    assert value == pytest.approx(10, rel={3: 0.3, 10: 0.01, 60: 1e-5}[steps])


def test_more_steps_than_there_is_to_find_do_no_harm():
    diagonal, beside = found(symmetric([-4.0, -2.0, -2.0]), 8)
    assert np.count_nonzero(beside) <= 3
    value, residual = largest_eigenvalue(diagonal, beside)
    assert value == pytest.approx(-2, rel=1e-4)
    assert residual < 1e-3
    value, residual = largest_eigenvalue(*found(np.zeros((3, 3)), 2))
    assert (value, residual) == (0, 0)


def test_a_matrix_that_is_not_finite_has_no_eigenvalue():
    assert np.isnan(largest_eigenvalue(np.array([np.nan]), np.ones(1))).all()
    assert np.isnan(largest_eigenvalue(np.ones(1), np.array([np.inf]))).all()
