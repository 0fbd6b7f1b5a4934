import numpy as np
import pytest
from keras import ops
from scipy import optimize

from keras_regimen.custom_regularizers import L1Ball


def project(w, *args, dtype="float32", **kwargs):
    w = ops.convert_to_tensor(np.asarray(w, dtype))
    return ops.convert_to_numpy(L1Ball(*args, **kwargs)(w))


def quadratic_program(point, radius):
    """Projects within the orthant of the point, where the nearest one is."""
    solved = optimize.minimize(
        lambda x: ((x - np.abs(point)) ** 2).sum(),
        np.zeros(len(point)),
        method="SLSQP",
        bounds=[(0, None)] * len(point),
        constraints={"type": "ineq", "fun": lambda x: radius - x.sum()},
        options={"ftol": 1e-15, "maxiter": 500},
    )
    return np.sign(point) * solved.x


def test_nearest_point_is_that_of_a_quadratic_program(wide):
    w = np.random.default_rng(0).normal(0, 0.5, (6, 4))
    w[:, 0] *= 0.1
    found = project(w, 0.6, dtype=wide)
    expected = [quadratic_program(column, 0.6) for column in w.T]
    np.testing.assert_allclose(found.T, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found[:, 0], w[:, 0].astype(wide))
    assert (found[:, 1:] == 0).any()


def test_feasible_weights_come_back_to_the_bit():
    w = np.random.default_rng(0).normal(size=(20, 8)).astype("float32")
    w /= 1.01 * np.abs(w).sum(0)
    w[0] = -0.0
    found = project(w, 1.0)
    np.testing.assert_array_equal(found.view("int32"), w.view("int32"))


def test_projecting_twice_changes_nothing_more():
    once = project(np.random.default_rng(0).normal(size=(64, 100)), 2.0)
    np.testing.assert_allclose(np.abs(once).sum(0), 2.0, rtol=1e-6)
    np.testing.assert_array_equal(project(once, 2.0), once)


def test_convolution_is_bounded_by_filter():
    w = np.random.default_rng(0).normal(size=(3, 3, 2, 5))
    found = project(w, 0.7)
    sums = np.abs(found).sum((0, 1, 2))
    np.testing.assert_allclose(sums, 0.7, rtol=1e-6)
    matrix = project(w.reshape(18, 5), 0.7)
    np.testing.assert_array_equal(found.reshape(18, 5), matrix)


def test_gradient_is_that_of_the_projection(gradient, central_differences):
    w = np.array([[0.9, 0.1], [-0.7, -0.2], [0.05, 0.3]])
    direction = np.array([[1.0, -2.0], [3.0, 0.5], [-1.0, 4.0]])

    def numpy(w):
        # The support is known: the first two of the first column.
        threshold = (abs(w[0, 0]) + abs(w[1, 0]) - 1) / 2
        first = np.sign(w[:, 0]) * (np.abs(w[:, 0]) - threshold)
        first[2] = 0
        return direction[:, 0] @ first + direction[:, 1] @ w[:, 1]

    def ours(w):
        return ops.sum(L1Ball(1.0)(w) * ops.cast(direction, w.dtype))

    np.testing.assert_allclose(
        gradient(ours, w), central_differences(numpy, w), rtol=0, atol=1e-6
    )


def test_axis_chooses_what_is_bounded():
    w = np.array([[3.0, 1.0], [0.2, 0.1]])
    np.testing.assert_allclose(project(w, 1.0, axis=1), [[1, 0], [0.2, 0.1]])
    with pytest.raises(ValueError, match=r"axis=\(2,\)"):
        project(w, 1.0, axis=2)
