import keras
import numpy as np
import pytest
from keras import ops
from scipy import optimize

from keras_regimen.custom_regularizers import Simplex


def project(w, *args, dtype="float32", **kwargs):
    w = ops.convert_to_tensor(np.asarray(w, dtype))
    return ops.convert_to_numpy(Simplex(*args, **kwargs)(w))


@pytest.mark.parametrize("total", [1.0, 3.0])
def test_nearest_point_is_that_of_a_quadratic_program(total, wide):
    w = np.random.default_rng(0).normal(0, 0.5, (6, 4))
    expected = [
        optimize.minimize(
            lambda x, column=column: ((x - column) ** 2).sum(),
            np.full(6, total / 6),
            method="SLSQP",
            bounds=[(0, None)] * 6,
            constraints={"type": "eq", "fun": lambda x: x.sum() - total},
            options={"ftol": 1e-15, "maxiter": 500},
        ).x
        for column in w.T
    ]
    found = project(w, total, dtype=wide)
    np.testing.assert_allclose(found.T, expected, rtol=0, atol=1e-6)


def test_points_below_the_simplex_are_lifted_onto_it():
    found = project([[0.1], [0.2]], 1.0)
    np.testing.assert_allclose(found, [[0.45], [0.55]], rtol=1e-6)


def test_feasible_weights_come_back_to_the_bit():
    w = np.random.default_rng(0).uniform(size=(40, 8)).astype("float32")
    w[3] = 0
    w = ops.convert_to_numpy(keras.ops.softmax(w, axis=0))
    np.testing.assert_array_equal(project(w), w)
    corners = np.eye(5, dtype="float32")
    np.testing.assert_array_equal(project(corners), corners)


def test_projecting_twice_changes_nothing_more():
    once = project(np.random.default_rng(0).normal(size=(64, 100)))
    assert (once >= 0).all()
    assert (once == 0).any()
    np.testing.assert_allclose(once.sum(0), 1, rtol=1e-6)
    np.testing.assert_array_equal(project(once), once)


def test_gradient_is_that_of_the_projection(gradient, central_differences):
    w = np.array([[0.9], [0.7], [-0.6]])
    direction = np.array([[1.0], [3.0], [5.0]])

    def numpy(w):  # The last weight is outside of the support.
        shift = (w[0, 0] + w[1, 0] - 1) / 2
        return direction[0, 0] * (w[0, 0] - shift) + direction[1, 0] * (
            w[1, 0] - shift
        )

    def ours(w):
        return ops.sum(Simplex()(w) * ops.cast(direction, w.dtype))

    np.testing.assert_allclose(
        gradient(ours, w), central_differences(numpy, w), rtol=0, atol=1e-6
    )


def test_trained_mixture_stays_shares():
    layer = keras.layers.Dense(1, use_bias=False, kernel_constraint=Simplex())
    model = keras.Sequential([keras.Input((3,)), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    # The third is worse than useless: its share is 0, not just small.
    y = 0.7 * x[:, :1] + 0.4 * x[:, 1:2] - 0.2 * x[:, 2:]
    x, y = np.tile(x, (30, 1)), np.tile(y, (30, 1))
    model.fit(x, y, batch_size=64, shuffle=False, verbose=0)
    first, second, third = ops.convert_to_numpy(layer.kernel)[:, 0]
    assert third == 0
    assert first + second == pytest.approx(1, rel=1e-6)
    assert first > second > 0
