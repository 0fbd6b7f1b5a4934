import re

import keras
import numpy as np
import pytest

from keras_regimen.custom_optimizers import (
    NonlinearConjugateGradient,
    StrongWolfe,
)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["beale", "himmelblau"])
def test_iterates_are_those_of_scipy_with_its_line_search(
    name, problems, by_scipy, by_ours
):
    problem = problems[name]
    points, result = by_scipy(problem, "CG")
    optimizer = NonlinearConjugateGradient(
        line_search=StrongWolfe(curvature=0.4)
    )
    ours, minimum = by_ours(optimizer, problem)
    assert minimum.converged
    assert minimum.iterations <= result.nit
    assert minimum.evaluations <= result.nfev
    np.testing.assert_allclose(
        ours[:8], points[: len(ours)][:8], rtol=1e-6, atol=1e-8
    )


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["rosenbrock", "quadratic"])
def test_evaluations_are_no_more_than_those_of_scipy(
    name, problems, by_scipy, by_ours
):
    problem = problems[name]
    _, result = by_scipy(problem, "CG")
    _, minimum = by_ours(NonlinearConjugateGradient(), problem)
    assert minimum.converged
    assert minimum.iterations <= result.nit
    assert minimum.evaluations <= result.nfev


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("formula", ["polak_ribiere", "fletcher_reeves"])
def test_a_quadratic_takes_as_many_iterations_as_it_has_weights(formula):
    # With a line search as good as exact.
    optimizer = NonlinearConjugateGradient(formula, StrongWolfe(1e-9, 1e-8))
    w = keras.Variable(np.ones(5), dtype="float64")
    distances = []
    optimizer.minimize(
        lambda: sum((i + 1) * w[i] ** 2 for i in range(5)),
        [w],
        tolerance=0,
        max_iterations=5,
        callback=lambda report: distances.append(np.abs(w.numpy()).max()),
    )
    assert distances[3] > 1e-3
    assert distances[4] < 1e-6


def test_an_unknown_formula_is_refused():
    with pytest.raises(ValueError, match=re.escape("formula='newton'")):
        NonlinearConjugateGradient("newton")
