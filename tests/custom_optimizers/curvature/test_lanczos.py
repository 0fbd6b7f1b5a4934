import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import lanczos
from keras_regimen.custom_optimizers.autodiff import compiled


def to_numpy(x):
    return ops.convert_to_numpy(x)


def symmetric(eigenvalues, seed=0):
    rng = np.random.default_rng(seed)
    size = len(eigenvalues)
    q, _ = np.linalg.qr(rng.normal(size=(size, size)))
    return ((q * eigenvalues) @ q.T).astype("float32")


def decomposed(matrix, steps, start=None):
    if start is None:
        start = np.random.default_rng(1).normal(size=len(matrix))
    start = ops.cast(start, "float32")
    return lanczos(lambda v: ops.matmul(matrix, v), start, steps)


def test_all_steps_bring_the_matrix_into_tridiagonal_form():
    matrix = symmetric(np.linspace(-3, 5, 12))
    t = decomposed(matrix, 12)
    basis = to_numpy(t.basis)
    np.testing.assert_allclose(basis @ basis.T, np.eye(12), atol=1e-5)
    np.testing.assert_allclose(
        basis @ matrix @ basis.T, to_numpy(t.matrix()), atol=1e-5
    )
    np.testing.assert_allclose(
        np.linalg.eigvalsh(to_numpy(t.matrix())),
        np.linspace(-3, 5, 12),
        atol=1e-5,
    )


def test_few_steps_find_the_ends_of_a_large_spectrum():
    matrix = symmetric(np.r_[np.linspace(0, 1, 98), -4.0, 10.0])
    found = np.linalg.eigvalsh(to_numpy(decomposed(matrix, 20).matrix()))
    np.testing.assert_allclose(found[[0, -1]], [-4, 10], atol=1e-4)


def test_the_basis_stays_orthogonal_where_plain_lanczos_loses_it():
    # A converged eigenvalue comes back as a ghost without the second pass.
    matrix = symmetric(np.r_[np.geomspace(1e-4, 1, 59), 1e3])
    basis = to_numpy(decomposed(matrix, 60).basis)
    np.testing.assert_allclose(basis @ basis.T, np.eye(60), atol=1e-5)


@pytest.mark.parametrize(
    "eigenvalues", [[2, 2, 2, 2], [1, 1, 5, 5, 5], [0, 0, 0]]
)
def test_repeated_eigenvalues_are_found_as_often_as_they_are(eigenvalues):
    t = decomposed(symmetric(eigenvalues), len(eigenvalues))
    np.testing.assert_allclose(
        np.linalg.eigvalsh(to_numpy(t.matrix())), eigenvalues, atol=1e-5
    )


def test_one_step_is_the_rayleigh_quotient():
    t = decomposed(np.diag([1.0, 3.0]).astype("float32"), 1, [1.0, 1.0])
    np.testing.assert_allclose(to_numpy(t.matrix()), [[2]], rtol=1e-6)


def test_it_compiles():
    matrix = symmetric([1, 2, 3, 4])

    def run(start):
        return decomposed(matrix, 4, start).matrix()

    start = ops.ones(4)
    np.testing.assert_allclose(
        to_numpy(compiled(run)(start)), to_numpy(run(start)), atol=1e-5
    )


@pytest.mark.parametrize("steps", [0, 4])
def test_steps_out_of_range_are_refused(steps):
    with pytest.raises(ValueError, match=rf"\[1, 3\].*steps={steps}"):
        lanczos(lambda v: v, ops.ones(3), steps)


def test_a_start_that_is_no_vector_is_refused():
    with pytest.raises(ValueError, match=r"start of shape \(2, 2\)"):
        lanczos(lambda v: v, keras.ops.ones((2, 2)), 1)
