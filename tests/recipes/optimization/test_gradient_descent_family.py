import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.recipes.optimization.gradient_descent_family import (
    KAPPA,
    OPTIMIZERS,
    RATES,
    SIZE,
    gap_of_correction,
    on_quadratic,
    on_rosenbrock,
    optimizer_of,
    path,
    race,
    unlike_when_scaled,
)


def parabola(weights, step):
    return ops.sum(weights**2, axis=1) / 2


@pytest.mark.parametrize("method", OPTIMIZERS)
def test_a_row_of_the_race_is_a_plain_run_at_its_rate(method):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(2, 3)), rng.normal(size=(4, 2, 3))
    rates = [0.01, 0.3]
    rows = keras.Variable(start, dtype="float64")
    together = optimizer_of(method, rates, rows)
    make, settings = OPTIMIZERS[method]
    singles = [keras.Variable(row, dtype="float64") for row in start]
    alone = [make(learning_rate=rate, **settings) for rate in rates]
    for gradient in gradients:
        together.apply([ops.convert_to_tensor(gradient)], [rows])
        for row, optimizer in enumerate(alone):
            part = ops.convert_to_tensor(gradient[row])
            optimizer.apply([part], [singles[row]])
    np.testing.assert_allclose(rows, np.stack(singles), rtol=1e-6)


def test_the_race_ends_with_the_first_rate_at_the_goal():
    # A rate of 1 is there at once; the others only draw nearer.
    start = np.array([3.0, 4.0])
    assert race("sgd", start, parabola, 1e-12, 100) == (1, True)
    assert race("sgd", start, parabola, 1e-12, 100, every=5) == (5, True)


def test_each_update_sees_the_loss_of_its_own_step():
    # A rate of 1 follows a minimum that moves to the step's number.
    def moving(weights, step):
        return ops.sum((weights - ops.cast(step, "float64")) ** 2, axis=1) / 2

    def distance_to_3(weights):
        return ops.sum((weights - 3) ** 2, axis=1)

    found = race(
        "sgd", np.array([5.0]), moving, 1e-12, 100, measured=distance_to_3
    )
    assert found == (4, True)


def test_a_goal_that_no_rate_reaches_costs_the_budget_and_is_told():
    start = np.array([3.0, 4.0])
    assert race("adam", start, parabola, -1.0, 30) == (30, False)


@pytest.mark.parametrize(("method", "decay"), [("sgd", 0), ("momentum", 0.9)])
def test_steps_on_the_quadratic_are_those_of_plain_numpy(method, decay):
    rng = np.random.default_rng(3)
    rotation, _ = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))
    hessian = rotation @ np.diag(np.geomspace(1 / KAPPA, 1, SIZE)) @ rotation.T
    x = np.tile(rng.normal(size=SIZE), (len(RATES), 1))
    goal, velocity, steps = 1e-8 * x[0] @ hessian @ x[0], 0, 0
    with np.errstate(over="ignore", invalid="ignore"):
        while not np.nanmin(np.einsum("ri,ij,rj->r", x, hessian, x)) <= goal:
            velocity = decay * velocity - RATES[:, None] * (x @ hessian)
            x, steps = x + velocity, steps + 1
    found, reached = on_quadratic(method, np.random.default_rng(3))
    assert reached
    assert abs(found - steps) <= 1


def test_momentum_is_faster_in_rosenbrocks_valley():
    steps, reached = on_rosenbrock("momentum", np.random.default_rng(0))
    assert reached
    assert 100 < steps < 5000


def test_adagrads_path_is_unlike_when_scaled_because_of_its_first_sum():
    rng = np.random.default_rng
    adam = unlike_when_scaled("adam", rng(0), epsilon=1e-14)
    assert adam < 1e-9
    assert unlike_when_scaled("adagrad", rng(0), epsilon=1e-14) > 0.1
    assert unlike_when_scaled("sgd", rng(0)) > 100


def test_adams_path_by_hand():
    # With a constant gradient a corrected step is the rate. Keras rounds
    # beta_2 to float32, and 1 - beta_2 by 1e-5 with it.
    found = path("adam", np.full((3, SIZE), -5.0))
    np.testing.assert_allclose(found[:, 0], [1e-3, 2e-3, 3e-3], rtol=1e-5)
    assert gap_of_correction(np.random.default_rng(0)) < 1e-4
