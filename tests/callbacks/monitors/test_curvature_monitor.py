import keras
import numpy as np
import pytest
from keras import layers

from keras_regimen.callbacks.monitors.curvature_monitor import CurvatureMonitor
from keras_regimen.custom_models import FullBatchModel
from keras_regimen.custom_optimizers import LBFGS
from keras_regimen.custom_optimizers.curvature import hessian_eigenvalues

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 6)).astype("float32")
X[:, 0] *= 3
Y = RNG.normal(size=(64, 1)).astype("float32")


def measured(model, x=X, y=Y, **arguments):
    monitor = CurvatureMonitor(x, y, every=1, **arguments)
    monitor.set_model(model)
    monitor.on_train_begin()
    monitor.on_epoch_end(0)
    return monitor.figures[0], monitor.problems.get(0, [])


def linear(optimizer):
    dense = layers.Dense(1, use_bias=False)
    model = keras.Sequential([keras.Input((6,)), dense])
    model.compile(optimizer, "mse")
    return model


HESSIAN = 2 * X.T.astype("float64") @ X / len(X)
EIGENVALUES = np.linalg.eigvalsh(HESSIAN)


def test_eigenvalue_of_a_quadratic_and_what_the_rate_makes_of_it():
    rate = 1.1 * 2 / EIGENVALUES[-1]
    found, (sentence,) = measured(linear(keras.optimizers.SGD(rate)))
    assert found == pytest.approx(
        {
            "hessian_eigenvalue": EIGENVALUES[-1],
            "hessian_residual": 0,
            "sharpness_ratio": 1.1,
        },
        rel=1e-4,
        abs=1e-5,
    )
    assert sentence == (
        f"the largest curvature, {EIGENVALUES[-1]:.3g}, is 1.1 times what "
        f"gradient descent can bear, 2 / learning rate, {2 / rate:.3g}"
    )


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_gradient_descent_diverges_where_the_monitor_says(share):
    rate = share * 2 / EIGENVALUES[-1]
    _, problems = measured(linear(keras.optimizers.SGD(rate)))
    kernel = np.ones((6, 1))
    for _ in range(200):
        kernel = kernel - rate * 2 * X.T @ (X @ kernel - Y) / len(X)
    assert bool(problems) == (np.linalg.norm(kernel) > 1e6) == (share > 1)


def test_with_few_products_the_estimate_is_low_and_says_how_far():
    found, _ = measured(linear("sgd"), products=3)
    estimate, residual = found["hessian_eigenvalue"], found["hessian_residual"]
    assert estimate < EIGENVALUES[-1]
    assert residual > 1e-3
    assert np.min(np.abs(EIGENVALUES - estimate)) <= residual * (1 + 1e-4)
    assert estimate == pytest.approx(EIGENVALUES[-1], rel=0.05)


def test_a_nets_curvature_is_that_of_the_tool():
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(3, "tanh", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    found, _ = measured(model, products=20)

    def loss():
        y_pred = model(X, training=False)
        return model.compute_loss(x=X, y=Y, y_pred=y_pred, training=False)

    tool = hessian_eigenvalues(loss, model.trainable_variables)
    assert found["hessian_eigenvalue"] == pytest.approx(
        tool.values[0], rel=1e-3
    )
    assert found["sharpness_ratio"] == pytest.approx(
        found["hessian_eigenvalue"] * 0.001 / 2, rel=1e-5
    )


def test_a_curvature_that_is_no_number_is_a_problem():
    model = linear("sgd")
    model.set_weights([np.full((6, 1), np.nan)])
    found, problems = measured(model, y=Y * np.nan)
    assert np.isnan(found["hessian_eigenvalue"]) == bool(problems)


def test_the_largest_rate_of_several_counts():
    optimizer = keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(
            keras.optimizers.SGD(0.1), {".*bias": keras.optimizers.SGD(0.5)}
        )
    )
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1)])
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    found, _ = measured(model)
    assert found["sharpness_ratio"] == pytest.approx(
        found["hessian_eigenvalue"] * 0.5 / 2
    )


def test_an_optimizer_that_searches_its_steps_is_measured_too():
    model = FullBatchModel(
        keras.Sequential([keras.Input((6,)), layers.Dense(1, use_bias=False)])
    )
    model.compile(LBFGS(), "mse")
    found, _ = measured(model)
    assert list(found) == ["hessian_eigenvalue", "hessian_residual"]
    assert found["hessian_eigenvalue"] == pytest.approx(
        EIGENVALUES[-1], rel=1e-4
    )


def test_bad_arguments_are_refused_at_construction():
    with pytest.raises(ValueError, match="products=0"):
        CurvatureMonitor(X, Y, products=0)
