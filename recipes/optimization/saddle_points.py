"""Saddle points: which method leaves a plateau, and how soon?

Dauphin et al., 2014 (https://arxiv.org/abs/1406.2572) hold that training is
slowed by saddle points rather than by bad minima: Newton's method is drawn to
them, gradient descent crawls away, and a Newton step by the Hessian's absolute
value, saddle-free, gets off in few iterations. Here, first, x^2 - y^2 + y^4/4
turned at random, whose saddle lies between two minima of -1, from points ever
nearer to the ridge. Then a tanh net of 226 weights on 300 digits of 4 x 4
pixels, from a point where all but the output's biases are about 0, until the
loss has halved: first-order methods at the best of the same five rates.
"""

import keras
import numpy as np
from keras import ops

from keras_regimen.custom_optimizers import Newton, classify_critical_point
from keras_regimen.custom_optimizers.autodiff import (
    FlatVariables,
    Objective,
    compiled,
    map_rows,
)
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Exact,
    Recipe,
    digits,
    value,
)

DISTANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8)
RATES = (0.1, 0.3, 1.0, 3.0, 10.0)
STEPS, ITERATIONS = 2000, 40  # At most, of first and of second order.
PLANE_RATE = 0.1
FLAT = 1e-2  # A curvature below this share of the largest counts as 0.
MOMENTUM = {"gradient_descent": 0.0, "momentum": 0.9}
IN_THE_PLANE = ("gradient_descent", "newton", "saddle_free_newton")
NEWTONS = {
    "newton": {"line_search": None},
    "damped_newton": {"dense_limit": 300},
    "saddle_free_newton": {"saddle_free": True, "dense_limit": 300},
    "saddle_free_krylov": {"saddle_free": True, "dense_limit": 0},
}


def descent(loss, variables):
    """Returns a function that counts steps until the loss is at a goal."""
    flat = FlatVariables(variables)
    objective = Objective(flat.function(loss))

    @compiled
    def run(rate, momentum, goal, most):
        def go_on(steps, weights, velocity, value):
            return (value > goal) & (steps < most)

        def body(steps, weights, velocity, value):
            _, gradient = objective(weights)
            velocity = momentum * velocity - rate * gradient
            weights = weights + velocity
            return steps + 1, weights, velocity, objective.function(weights)

        start = flat.read()
        state = (0, start, ops.zeros_like(start), objective.function(start))
        steps, weights, _, value = ops.while_loop(go_on, body, state)
        flat.write(weights)
        # A loss that is no number ends the loop, and is no goal reached.
        return ops.where(value <= goal, steps, most)

    def counted(rate, momentum, goal, most=STEPS):
        numbers = (ops.convert_to_tensor(a, flat.dtype) for a in (rate, goal))
        rate, goal = numbers
        momentum = ops.convert_to_tensor(momentum, flat.dtype)
        return int(run(rate, momentum, goal, ops.convert_to_tensor(most)))

    return counted


def newton_run(optimizer, loss, variables, goal):
    """Returns the iterations until the goal, and the evaluations."""
    reports = []
    for _ in range(ITERATIONS):
        optimizer.minimize(
            loss, variables, 1, tolerance=0, callback=reports.append
        )
        if reports[-1].value <= goal or reports[-1].stuck:
            break
    reached = reports[-1].value <= goal
    evaluations = sum(int(report.evaluations) for report in reports)
    return len(reports) if reached else ITERATIONS, evaluations


def in_the_plane(method, seed):
    """Returns the steps to a minimum, from nearer and nearer to the ridge."""
    rng = np.random.default_rng(seed)
    angle, x = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.5)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    point = keras.Variable(np.zeros(2), dtype="float64")

    def loss():
        x, y = ops.unstack(ops.sum(turn * point.value[:, None], axis=0))
        return x**2 - y**2 + y**4 / 4

    first_order = descent(loss, [point])
    optimizer = Newton(**NEWTONS.get(method, {}))
    steps = []
    for distance in DISTANCES:
        point.assign(turn @ [x, distance])
        if method in MOMENTUM:
            found = first_order(PLANE_RATE, MOMENTUM[method], -0.999)
        else:
            found, _ = newton_run(optimizer, loss, [point], -0.999)
        steps.append(found)
    # Near the ridge a step multiplies y by 1 + 2 rate.
    growth = np.polyfit(-np.log(DISTANCES), steps, 1)[0]
    return {
        "most_steps_in_plane": max(steps),
        "distance_to_saddle": np.linalg.norm(ops.convert_to_numpy(point)),
        "gap_of_growth": abs(growth * np.log1p(2 * PLANE_RATE) - 1),
    }


def plateau(seed):
    """Returns a net's loss, its weights and the loss where it stands still."""
    x, y = digits(train_size=300)(seed).train
    x = x.reshape(len(x), 4, 2, 4, 2).mean(axis=(2, 4)).reshape(len(x), 16)
    rng = np.random.default_rng(seed)
    net = keras.Sequential([keras.Input((16,))])
    net.add(keras.layers.Dense(8, "tanh"))
    net.add(keras.layers.Dense(10))
    shares = np.bincount(y.ravel(), minlength=10) / len(y)
    *weights, _ = (1e-3 * rng.normal(size=w.shape) for w in net.get_weights())
    net.set_weights([*weights, np.log(shares)])
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    x, y = ops.convert_to_tensor(x), ops.convert_to_tensor(y)
    entropy = -np.sum(shares * np.log(shares))
    return lambda: crossentropy(y, net(x)), net.trainable_variables, entropy


def off_the_plateau(method, seed):
    """Returns the iterations that it takes to get off, and their cost."""
    loss, weights, entropy = plateau(seed)
    start, goal = [w.numpy() for w in weights], 0.5 * entropy
    if method in MOMENTUM:
        count, found = descent(loss, weights), []
        for rate in RATES:
            for weight, first in zip(weights, start, strict=True):
                weight.assign(first)
            found.append(count(rate, MOMENTUM[method], goal))
        iterations = evaluations = min(found)
        most = STEPS
    else:
        optimizer = Newton(**NEWTONS[method])
        iterations, evaluations = newton_run(optimizer, loss, weights, goal)
        most = ITERATIONS
    return {
        "iterations": iterations,
        "log2_iterations": np.log2(iterations),
        "log2_evaluations": np.log2(evaluations),
        "never": int(iterations == most),
    }


def negative_share(loss, weights):
    """Returns a function: the share of the Hessian's negative eigenvalues."""
    flat = FlatVariables(weights)
    objective = Objective(flat.function(loss))

    @compiled
    def hessian():
        here = flat.read()
        unit_vectors = ops.eye(flat.size, dtype=flat.dtype)
        return map_rows(lambda v: objective.product(here, v), unit_vectors)

    def share():
        eigenvalues = np.linalg.eigvalsh(ops.convert_to_numpy(hessian()))
        return np.mean(eigenvalues < -FLAT * np.abs(eigenvalues).max())

    return share


def index(seed):
    """Returns how many directions lead down, on the plateau and after."""
    loss, weights, entropy = plateau(seed)
    kind = classify_critical_point(loss, weights, curvature_tolerance=FLAT).kind
    count, share = descent(loss, weights), negative_share(loss, weights)
    shares = [share()]
    for part in (0.5, 0.1):
        count(0.3, 0.9, part * entropy)
        shares.append(share())
    return {
        "is_no_saddle": int(kind != "saddle"),
        "share_on_plateau": shares[0],
        "share_at_a_tenth": shares[-1],
        "rise_of_share": max(np.diff(shares)),
    }


def measure(hp, seed):
    method = hp.Choice("method", [*MOMENTUM, *NEWTONS, "index"])
    if method == "index":
        return index(seed)
    figures = {}
    if method in IN_THE_PLANE:
        figures |= in_the_plane(method, seed)
    if method != "newton":
        figures |= off_the_plateau(method, seed)
    return figures


PAPER = "Dauphin et al., 2014"


def sooner(
    statement,
    baseline,
    smallest_effect,
    treatment="saddle_free_newton",
    metric="log2_iterations",
):
    return Claim(
        statement,
        source=f"{PAPER}, section 6",
        treatment=treatment,
        baseline=baseline,
        metric=value(metric),
        better="lower",
        smallest_effect=smallest_effect,
    )


def exact(statement, section, metric, arm, at_most):
    return Exact(
        statement, f"{PAPER}, {section}", value(metric), arm, at_most=at_most
    )


recipe = Recipe(
    claims=[
        sooner(
            "Saddle-free Newton leaves a plateau in at most half the "
            "iterations of gradient descent.",
            "gradient_descent",
            1.0,
        ),
        sooner("And in at most half of momentum's.", "momentum", 1.0),
        sooner("And in fewer than damped Newton.", "damped_newton", 0.25),
        sooner(
            "In a Krylov space it is cheaper than momentum, counted in "
            "gradients and Hessian products, too.",
            "momentum",
            0.5,
            treatment="saddle_free_krylov",
            metric="log2_evaluations",
        ),
        exact(
            "It leaves in less than 20 iterations.",
            "section 6",
            "iterations",
            "saddle_free_newton",
            19,
        ),
        exact(
            "Newton's own iteration goes to the saddle.",
            "section 4",
            "distance_to_saddle",
            "newton",
            1e-6,
        ),
        exact(
            "Gradient descent takes log(1 / distance) steps off the ridge.",
            "section 4",
            "gap_of_growth",
            "gradient_descent",
            0.05,
        ),
        exact(
            "Saddle-free Newton takes at most ten, however near.",
            "section 4",
            "most_steps_in_plane",
            "saddle_free_newton",
            10,
        ),
        exact(
            "The plateau is a saddle.", "section 3", "is_no_saddle", "index", 0
        ),
        exact(
            "The lower the loss, the fewer directions lead down.",
            "section 3",
            "rise_of_share",
            "index",
            0.0,
        ),
    ],
    arms={
        method: Arm({"method": method})
        for method in (*MOMENTUM, *NEWTONS, "index")
    },
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
