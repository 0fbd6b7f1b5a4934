import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import BFGS


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["rosenbrock", "quadratic"])
def test_iterates_and_counts_are_those_of_scipy(
    name, problems, by_scipy, by_ours
):
    problem = problems[name]
    points, result = by_scipy(problem, "BFGS")
    ours, minimum = by_ours(BFGS(), problem)
    assert minimum.converged
    assert minimum.iterations <= result.nit
    assert minimum.evaluations <= result.nfev
    np.testing.assert_allclose(
        ours[:15], points[: len(ours)][:15], rtol=1e-6, atol=1e-8
    )


def test_it_learns_the_inverse_of_a_quadratic():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    hessian = (root @ root.T + np.eye(4)).astype("float32")
    w = keras.Variable(rng.normal(size=4).astype("float32"))
    optimizer = BFGS()
    minimum = optimizer.minimize(
        lambda: ops.sum(w * ops.matmul(hessian, w)) / 2, [w], tolerance=1e-5
    )
    assert minimum.converged
    learned = next(v for v in optimizer.variables if v.shape == (4, 4))
    np.testing.assert_allclose(
        learned.numpy(), np.linalg.inv(hessian), rtol=0.1, atol=0.05
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.usefixtures("float64")
def test_it_gets_as_near_as_the_float_type_allows(dtype, problems, by_ours):
    _, minimum = by_ours(BFGS(), problems["rosenbrock"], dtype, tolerance=0)
    # Values fall as the square of the distance: to the rounding's square.
    assert minimum.value < 10 * np.finfo(dtype).eps ** 2 * 1e4
    assert not minimum.converged or minimum.gradient == 0
    assert minimum.iterations < 100
    assert minimum.message
