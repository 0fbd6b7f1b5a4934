import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import (
    BFGS,
    LBFGS,
    BacktrackingLineSearch,
    Newton,
    NonlinearConjugateGradient,
    StrongWolfe,
)

OPTIMIZERS = [
    LBFGS(3, StrongWolfe(1e-2, 0.8, max_evaluations=9), 0.5, "a"),
    BFGS(BacktrackingLineSearch(shrink=0.25)),
    NonlinearConjugateGradient("fletcher_reeves"),
    Newton(0.1, True, StrongWolfe(curvature=0.5), 7, 5),
    Newton(line_search=None),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_config_round_trip(optimizer):
    clone = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(clone) is type(optimizer)
    assert clone.get_config() == optimizer.get_config()


@pytest.mark.parametrize("optimizer", [LBFGS, BFGS, Newton])
def test_a_plain_model_refuses_with_a_sentence(optimizer):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer=optimizer(), loss="mse")
    with pytest.raises(ValueError, match=r"Wrap the model.*FullBatchModel"):
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)


def test_several_variables_of_any_shape_are_minimized_together():
    rng = np.random.default_rng(0)
    goals = [rng.normal(size=s).astype("float32") for s in [(2, 3), (), (4,)]]
    variables = [keras.Variable(np.zeros_like(goal)) for goal in goals]

    def loss():
        pairs = zip(variables, goals, strict=True)
        return sum(ops.sum((v - ops.array(g)) ** 2) for v, g in pairs)

    optimizer = LBFGS()
    minimum = optimizer.minimize(loss, variables, tolerance=1e-4)
    assert minimum.converged
    assert minimum.message == "the gradient is within the tolerance"
    assert int(optimizer.iterations.numpy()) == minimum.iterations
    for variable, goal in zip(variables, goals, strict=True):
        np.testing.assert_allclose(variable.numpy(), goal, atol=1e-4)


def test_a_second_minimize_starts_afresh_from_where_the_variables_are():
    w = keras.Variable([-1.2, 1.0])
    target = keras.Variable(1.0, trainable=False)

    def loss():
        return 10 * (w[1] - w[0] ** 2) ** 2 + (target - w[0]) ** 2

    optimizer = BFGS()
    first = optimizer.minimize(loss, [w], tolerance=1e-4)
    w.assign([-1.2, 1.0])
    assert optimizer.minimize(loss, [w], tolerance=1e-4) == first
    target.assign(2.0)  # What the loss reads is not compiled in.
    assert optimizer.minimize(loss, [w], tolerance=1e-4).converged
    np.testing.assert_allclose(w.numpy(), [2, 4], atol=1e-3)


def test_a_search_that_fails_says_why_and_loses_nothing():
    w = keras.Variable([1.0, 2.0])

    # The loss is lower nowhere, whatever its gradient says.
    def loss():
        return ops.where(
            ops.all(w == ops.array([1.0, 2.0])), ops.sum(w), ops.sum(w) * np.nan
        )

    minimum = BFGS(BacktrackingLineSearch(max_evaluations=4)).minimize(
        loss, [w]
    )
    assert "not finite" in minimum.message
    assert not minimum.converged
    assert minimum.evaluations == 5
    np.testing.assert_array_equal(w.numpy(), [1, 2])
    assert minimum.value == 3


def test_a_flat_loss_ends_at_once():
    w = keras.Variable([1.0])
    minimum = LBFGS().minimize(lambda: ops.sum(w * 0), [w])
    assert minimum.converged
    assert minimum.iterations == 1


@pytest.mark.parametrize("optimizer", [LBFGS, BFGS, NonlinearConjugateGradient])
def test_no_iteration_raises_the_loss(optimizer):
    w = keras.Variable([-3.0, 3.0, 2.0])
    values = []
    optimizer().minimize(
        lambda: ops.sum(ops.cos(3 * w) + w * w / 10),
        [w],
        callback=lambda report: values.append(report.value),
        max_iterations=30,
    )
    assert (np.diff(values) <= 1e-6).all()


def test_the_optimizer_keeps_to_its_variables():
    first, second = keras.Variable([1.0]), keras.Variable([1.0])
    optimizer = LBFGS()
    optimizer.minimize(lambda: ops.sum(first**2), [first])
    with pytest.raises(ValueError, match="was built for other variables"):
        optimizer.minimize(lambda: ops.sum(second**2), [second])


def test_a_constraint_is_refused():
    w = keras.Variable([1.0], name="kernel")
    w.constraint = keras.constraints.NonNeg()
    with pytest.raises(ValueError, match=r"no constraints.*kernel"):
        BFGS().minimize(lambda: ops.sum(w * w), [w])


@pytest.mark.parametrize(
    ("call", "received"),
    [
        (lambda: BFGS(learning_rate=0), "learning_rate=0"),
        (lambda: BFGS(learning_rate=float("nan")), "learning_rate=nan"),
        (lambda: BFGS(line_search="wolfe"), "line_search='wolfe'"),
        (
            lambda: BFGS().minimize(lambda: 0, [], tolerance=-1),
            "tolerance=-1",
        ),
        (
            lambda: BFGS().minimize(lambda: 0, [], max_iterations=0),
            "max_iterations=0",
        ),
    ],
)
def test_bad_arguments_say_what_was_received(call, received):
    with pytest.raises(ValueError, match=re.escape(received)):
        call()
