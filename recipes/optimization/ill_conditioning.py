"""Ill-conditioning: how many steps does a long, narrow valley cost?

On a quadratic whose largest curvature is kappa times the smallest, gradient
descent takes about kappa steps, momentum about the root of kappa (Polyak,
1964), Newton's method one, and conjugate gradients at most as many as there
are weights. Goodfellow, Bengio and Courville, 2016, section 8.2.1, see it in
nets, too: the gradient g does not shrink while g'Hg, which must stay small
against g'g for a step to help, grows by an order of magnitude. Here: random
quadratics of five weights with kappa from 1 to 10,000, each method with its
best constants, in float64, until the distance to the minimum is 1/10,000 of
what it was; and 600 updates of a ReLU net with three hidden layers on digits.
"""

import keras
import numpy as np
from keras import ops

from keras_regimen.custom_optimizers import condition_number
from keras_regimen.custom_optimizers.autodiff import (
    FlatVariables,
    Objective,
    compiled,
    length,
    times,
)
from keras_regimen.recipes.harness import Arm, Exact, Recipe, digits, value

KAPPAS = (1, 10, 100, 1000, 10_000)
SIZE, REDUCTION, MOST_STEPS = 5, 1e-4, 10**6
UPDATES, BATCH, RATE = 600, 50, 0.1


def quadratic(kappa, rng):
    """Returns a Hessian of curvatures from 1 / kappa to 1, and a start."""
    rotation, _ = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))
    curvatures = np.geomspace(1 / kappa, 1, SIZE)
    return rotation * curvatures @ rotation.T, rng.normal(size=SIZE)


def gradient_descent(hessian, kappa, x, *memory):
    rate = 2 / (1 + 1 / kappa)
    return x - rate * times(hessian, x), *memory


def momentum(hessian, kappa, x, velocity, square):
    low = kappa**-0.5
    rate, decay = 4 / (1 + low) ** 2, ((1 - low) / (1 + low)) ** 2
    velocity = decay * velocity - rate * times(hessian, x)
    return x + velocity, velocity, square


def newton(hessian, kappa, x, *memory):
    gradient = times(hessian, x)
    return x - ops.solve(hessian, gradient[:, None])[:, 0], *memory


def conjugate_gradients(hessian, kappa, x, direction, square):
    gradient, last = times(hessian, x), square
    square = ops.sum(gradient * gradient)
    direction = square / last * direction - gradient
    curvature = ops.sum(direction * times(hessian, direction))
    return x + square / curvature * direction, direction, square


def counter(step):
    """Returns a function that counts a method's steps on a quadratic."""

    @compiled
    def count(hessian, kappa, start):
        goal = REDUCTION * length(start)

        def go_on(steps, x, *memory):
            return (length(x) > goal) & (steps < MOST_STEPS)

        def body(steps, *state):
            return steps + 1, *step(hessian, kappa, *state)

        # The square of a gradient before the first: no direction to keep.
        square = ops.full((), np.inf, "float64")
        state = (start, ops.zeros_like(start), square)
        return ops.while_loop(go_on, body, (0, *state))[0]

    def counted(*arguments):
        tensors = [ops.convert_to_tensor(a, "float64") for a in arguments]
        return int(count(*tensors))

    return counted


COUNTERS = {
    step.__name__: counter(step)
    for step in (gradient_descent, momentum, newton, conjugate_gradients)
}


def steps_by_kappa(method, seed):
    rng = np.random.default_rng(seed)
    steps = []
    for kappa in KAPPAS:
        hessian, start = quadratic(kappa, rng)
        steps.append(COUNTERS[method](hessian, kappa, start))
    growth = np.polyfit(np.log(KAPPAS[1:]), np.log(steps[1:]), 1)[0]
    return {
        "gap_to_kappa": abs(growth - 1),
        "gap_to_root": abs(growth - 0.5),
        "most_steps": max(steps),
    }


def measured_kappa(seed):
    """Returns how far the condition numbers are off that Lanczos finds."""
    rng = np.random.default_rng(seed)
    gaps = []
    for kappa in KAPPAS:
        hessian, start = quadratic(kappa, rng)
        hessian = ops.convert_to_tensor(hessian)
        x = keras.Variable(start, dtype="float64")
        found = condition_number(
            lambda x=x, h=hessian: ops.sum(x.value * times(h, x.value)) / 2, [x]
        )
        gaps.append(abs(found / kappa - 1))
    return {"gap_of_condition_number": max(gaps)}


def training(net, x, y, rows):
    """Returns loss, |g| and g'Hg of every batch that the net learns."""
    flat = FlatVariables(net.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @compiled
    def train(weights, x, y, rows):
        def body(i, weights, figures):
            bx, by = (ops.take(a, rows[i], axis=0) for a in (x, y))
            objective = Objective(flat.function(lambda: loss(by, net(bx))))
            value, gradient = objective(weights)
            bend = ops.sum(gradient * objective.product(weights, gradient))
            row = ops.stack([value, length(gradient), bend])
            figures = ops.scatter_update(figures, [[i]], row[None])
            return i + 1, weights - RATE * gradient, figures

        start = (0, weights, ops.zeros((rows.shape[0], 3)))
        return ops.while_loop(lambda i, *_: i < rows.shape[0], body, start)[2]

    tensors = (ops.convert_to_tensor(a) for a in (x, y, rows))
    return ops.convert_to_numpy(train(flat.read(), *tensors)).T


def along_training(seed):
    """Returns how loss, |g| and g'Hg changed, in powers of ten."""
    x, y = digits()(seed).train
    net = keras.Sequential([keras.Input((64,))])
    for _ in range(3):
        net.add(keras.layers.Dense(32, "relu"))
    net.add(keras.layers.Dense(10))
    rng = np.random.default_rng(seed)
    epochs = [rng.permutation(len(x)) for _ in range(UPDATES * BATCH // len(x))]
    rows = np.reshape(epochs, (UPDATES, BATCH))
    loss, gradient, bend = np.log10(
        [
            (figures[:10].mean(), figures[-60:].mean())
            for figures in training(net, x.reshape(len(x), 64), y, rows)
        ]
    )
    return {
        "change_of_loss": loss[1] - loss[0],
        "fall_of_gradient": gradient[0] - gradient[1],
        "fall_of_bend": bend[0] - bend[1],
    }


def measure(hp, seed):
    what = hp.Choice("what", [*COUNTERS, "condition_number", "net"])
    if what == "net":
        return along_training(seed)
    if what == "condition_number":
        return measured_kappa(seed)
    return steps_by_kappa(what, seed)


BOOK = "Goodfellow, Bengio and Courville, 2016, section 8.2.1"
CLAIMS = (
    (
        "The steps of gradient descent grow like kappa.",
        (BOOK, "gap_to_kappa", "gradient_descent", 0.1),
    ),
    (
        "The steps of momentum grow like the root of kappa.",
        ("Polyak, 1964", "gap_to_root", "momentum", 0.1),
    ),
    (
        "Newton's method takes one step, whatever kappa.",
        ("Newton", "most_steps", "newton", 1),
    ),
    (
        "Conjugate gradients take at most as many steps as there are weights.",
        (
            "Hestenes and Stiefel, 1952",
            "most_steps",
            "conjugate_gradients",
            SIZE,
        ),
    ),
    (
        "Lanczos finds the condition number.",
        ("Lanczos, 1950", "gap_of_condition_number", "condition_number", 1e-3),
    ),
    (
        "While a net learns, g'Hg grows by an order of magnitude.",
        (BOOK, "fall_of_bend", "net", -1.0),
    ),
    (
        "Meanwhile the gradient does not shrink.",
        (BOOK, "fall_of_gradient", "net", 0.0),
    ),
    (
        "Meanwhile the loss falls to a tenth (a control).",
        (BOOK, "change_of_loss", "net", -1.0),
    ),
)

recipe = Recipe(
    claims=[
        Exact(statement, source, value(metric), arm=arm, at_most=at_most)
        for statement, (source, metric, arm, at_most) in CLAIMS
    ],
    arms={
        what: Arm({"what": what})
        for what in (*COUNTERS, "condition_number", "net")
    },
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
