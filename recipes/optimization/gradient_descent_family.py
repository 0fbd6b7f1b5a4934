"""Gradient descent and its family: which one needs the fewest steps?

Momentum (Polyak, 1964) and Nesterov's (1983) form of it need about the root
of a valley's condition number fewer steps than gradient descent. AdaGrad
(Duchi et al., 2011), RMSprop (Hinton, 2012) and Adam (Kingma and Ba, 2015) do
not notice when gradients are scaled coordinate by coordinate. Here: a turned
quadratic of ten weights and condition number 1,000, Rosenbrock's valley, and a
tanh net of 32 units on 1,000 digits in batches of 50 (gradient descent takes
all rows), from starts that the seed draws. What counts is the steps until the
loss is at a goal, for the best of the same 21 learning rates, four to each
power of ten; where none gets there, that is the whole budget, and is counted.
"""

import keras
import numpy as np
from keras import ops

from keras_regimen.custom_optimizers.autodiff import (
    Objective,
    compiled,
    while_loop,
)
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Exact,
    Recipe,
    digits,
    value,
)

RATES = 10.0 ** np.arange(-4, 1.25, 0.25)
KAPPA, SIZE, HIDDEN, BATCH = 1000, 10, 32, 50
STEPS = {"quadratic": 20_000, "rosenbrock": 20_000, "digits": 2000}
OPTIMIZERS = {
    "gradient_descent": (keras.optimizers.SGD, {}),
    "sgd": (keras.optimizers.SGD, {}),
    "momentum": (keras.optimizers.SGD, {"momentum": 0.9}),
    "nesterov": (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "adagrad": (keras.optimizers.Adagrad, {}),
    "rmsprop": (keras.optimizers.RMSprop, {}),
    "adam": (keras.optimizers.Adam, {}),
}


def optimizer_of(method, rates, weights, **further):
    """Returns a Keras optimizer with a learning rate for each row."""
    make, settings = OPTIMIZERS[method]
    rates = ops.convert_to_tensor(np.reshape(rates, (-1, 1)), weights.dtype)
    optimizer = make(learning_rate=lambda: rates, **settings, **further)
    optimizer.build([weights])
    return optimizer


def race(method, start, loss, goal, most, every=1, measured=None, rates=RATES):
    """Returns the steps until the first rate is at the goal, and if one is.

    `loss(weights, step)` gives the loss of each row of `weights`, a row for
    each rate; every few steps `measured(weights)` is held against the goal.
    """
    weights = keras.Variable(np.tile(start, (len(rates), 1)), dtype=start.dtype)
    optimizer = optimizer_of(method, rates, weights)
    measured = measured or (lambda w: loss(w, 0))

    def update(step):
        objective = Objective(lambda w: ops.sum(loss(w, step)))
        _, gradient = objective(ops.copy(weights.value))
        optimizer.apply([gradient], [weights])
        return step + 1

    def some_updates(state):
        step, _ = state
        last = step + every
        step = while_loop(lambda step: step < last, update, step)
        losses = measured(weights.value)
        losses = ops.where(ops.isfinite(losses), losses, np.inf)
        return step, ops.min(losses)

    def run():
        start = ops.zeros((), "int32"), ops.full((), np.inf, weights.dtype)
        return while_loop(
            lambda state: (state[1] > goal) & (state[0] < most),
            some_updates,
            start,
        )

    if keras.backend.backend() == "tensorflow":  # Others trace no assignment.
        run = compiled(run)
    steps, lowest = run()
    return int(steps), bool(lowest <= goal)


def on_quadratic(method, rng):
    rotation, _ = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))
    hessian = rotation * np.geomspace(1 / KAPPA, 1, SIZE) @ rotation.T
    start = rng.normal(size=SIZE)

    def loss(weights, step):
        return ops.sum((weights @ hessian) * weights, axis=1) / 2

    goal = 1e-8 * (start @ hessian @ start) / 2
    return race(method, start, loss, goal, STEPS["quadratic"])


def on_rosenbrock(method, rng):
    start = np.array([-1.2, 1.0]) + 0.1 * rng.normal(size=2)

    def loss(weights, step):
        x, y = weights[:, 0], weights[:, 1]
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    return race(method, start, loss, 1e-4, STEPS["rosenbrock"])


def on_digits(method, seed, rng):
    x, y = digits()(seed).train
    x, y = x.reshape(len(x), 64), np.eye(10, dtype="float32")[y.ravel()]
    kernels = (rng.normal(size=64 * HIDDEN), rng.normal(size=HIDDEN * 10))
    start = np.concatenate(
        (
            kernels[0] / 8,
            np.zeros(HIDDEN),
            kernels[1] / HIDDEN**0.5,
            np.zeros(10),
        )
    ).astype("float32")
    shapes = ((64, HIDDEN), (1, HIDDEN), (HIDDEN, 10), (1, 10))
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    epochs = [rng.permutation(len(x)) for _ in range(STEPS["digits"] // 20)]
    batches = ops.convert_to_tensor(np.reshape(epochs, (-1, BATCH)))
    all_x, all_y = ops.convert_to_tensor(x), ops.convert_to_tensor(y)

    def loss_on(weights, x, y):
        w, b, v, c = (
            ops.reshape(part, (-1, *shape))
            for part, shape in zip(
                ops.split(weights, ends, axis=1), shapes, strict=True
            )
        )
        logits = ops.tanh(x @ w + b) @ v + c
        return -ops.mean(ops.sum(y * ops.log_softmax(logits), axis=2), axis=1)

    def measured(weights):
        return loss_on(weights, all_x, all_y)

    def loss(weights, step):
        if method == "gradient_descent":
            return measured(weights)
        rows = batches[step]
        x, y = (ops.take(a, rows, axis=0) for a in (all_x, all_y))
        return loss_on(weights, x, y)

    return race(method, start, loss, 0.1, STEPS["digits"], 5, measured)


def path(method, gradients, **settings):
    """Returns the weights after each of some given gradients."""
    weights = keras.Variable(np.zeros((1, SIZE)), dtype="float64")
    optimizer = optimizer_of(method, 1e-3, weights, **settings)
    found = []
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient[None])], [weights])
        found.append(ops.convert_to_numpy(weights)[0])
    return np.array(found)


def unlike_when_scaled(method, rng, **settings):
    """Returns how far a path moves where coordinates' gradients are scaled."""
    gradients = 1 + rng.normal(size=(100, SIZE))
    scaled = gradients * np.geomspace(1e-3, 1e3, SIZE)
    plain, other = (path(method, g, **settings) for g in (gradients, scaled))
    return np.abs(plain - other).max() / np.abs(plain).max()


def gap_of_correction(rng):
    """Returns how far Adam's steps are off those that its bias implies."""
    gradients = 1 + rng.normal(size=(100, SIZE))
    steps = np.diff(path("adam", gradients), axis=0, prepend=0)
    mean, square = np.zeros(SIZE), np.zeros(SIZE)
    gaps = []
    for t, (gradient, step) in enumerate(zip(gradients, steps, strict=True), 1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        uncorrected = -1e-3 * mean / (np.sqrt(square) + 1e-7)
        ratio = (1 - 0.9**t) / np.sqrt(1 - 0.999**t)
        gaps.append(np.abs(uncorrected - ratio * step).max() / 1e-3)
    return max(gaps)


def measure(hp, seed):
    method = hp.Choice("method", list(OPTIMIZERS))
    rng = np.random.default_rng
    outcomes = {"digits": on_digits(method, seed, rng(seed))}
    if method != "sgd":  # Without batches it is gradient descent.
        outcomes["quadratic"] = on_quadratic(method, rng(seed))
        outcomes["rosenbrock"] = on_rosenbrock(method, rng(seed))
    figures = {}
    for name, (steps, reached) in outcomes.items():
        figures[f"log2_steps_on_{name}"] = np.log2(steps)
        figures[f"never_on_{name}"] = int(not reached)
    rows = 1000 if method == "gradient_descent" else BATCH
    figures["log2_rows_on_digits"] = np.log2(outcomes["digits"][0] * rows)
    if method == "gradient_descent":
        gap = unlike_when_scaled(method, rng(seed))
        figures["is_like_when_scaled"] = int(gap < 1e-5)
    if method == "adam":
        # Its epsilon is what knows of scales.
        gap = unlike_when_scaled(method, rng(seed), epsilon=1e-14)
        figures["unlike_when_scaled"] = gap
        figures["gap_of_correction"] = gap_of_correction(rng(seed))
    return figures


def fewer(statement, source, treatment, baseline, on, smallest_effect):
    return Claim(
        statement,
        source,
        treatment,
        baseline,
        metric=value(f"log2_{on}"),
        better="lower",
        smallest_effect=smallest_effect,
    )


ADAM = "Kingma and Ba, 2015"
# Half of the root of 1,000, in powers of two.
HALF_THE_ROOT = float(np.log2(KAPPA)) / 4

recipe = Recipe(
    claims=[
        fewer(
            "Momentum needs about the root of the condition number fewer "
            "steps on a quadratic.",
            "Polyak, 1964",
            "momentum",
            "gradient_descent",
            "steps_on_quadratic",
            HALF_THE_ROOT,
        ),
        fewer(
            "So does Nesterov's.",
            "Nesterov, 1983",
            "nesterov",
            "gradient_descent",
            "steps_on_quadratic",
            HALF_THE_ROOT,
        ),
        fewer(
            "Momentum needs at most half the steps on Rosenbrock's valley.",
            "Polyak, 1964",
            "momentum",
            "gradient_descent",
            "steps_on_rosenbrock",
            1.0,
        ),
        fewer(
            "Adam needs fewer steps than momentum there.",
            ADAM,
            "adam",
            "momentum",
            "steps_on_rosenbrock",
            0.5,
        ),
        fewer(
            "On digits, batches need at most half the rows of all rows at "
            "once.",
            "Bottou, 1998",
            "sgd",
            "gradient_descent",
            "rows_on_digits",
            1.0,
        ),
        fewer(
            "Momentum needs fewer steps than SGD on digits.",
            "Sutskever et al., 2013",
            "momentum",
            "sgd",
            "steps_on_digits",
            0.5,
        ),
        fewer(
            "Adam needs fewer steps than Nesterov's momentum on digits.",
            f"{ADAM}, section 6",
            "adam",
            "nesterov",
            "steps_on_digits",
            0.5,
        ),
        fewer(
            "RMSprop needs fewer steps than AdaGrad on digits.",
            "Hinton, 2012",
            "rmsprop",
            "adagrad",
            "steps_on_digits",
            0.5,
        ),
        Exact(
            "Adam's path is the same when gradients are scaled by coordinate.",
            f"{ADAM}, section 2.1",
            value("unlike_when_scaled"),
            arm="adam",
            at_most=1e-5,
        ),
        Exact(
            "The path of gradient descent is not (a control).",
            f"{ADAM}, section 2.1",
            value("is_like_when_scaled"),
            arm="gradient_descent",
            at_most=0,
        ),
        Exact(
            "Without its correction Adam's step t would be "
            "(1 - b1^t) / (1 - b2^t)^(1/2) times as long.",
            f"{ADAM}, section 3",
            value("gap_of_correction"),
            arm="adam",
            at_most=1e-4,
        ),
    ],
    arms={method: Arm({"method": method}) for method in OPTIMIZERS},
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
