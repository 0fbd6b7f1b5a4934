"""Second order: does curvature save gradients, where all rows are used?

Liu and Nocedal, 1989 (Mathematical Programming 45, pages 503-528) make
quasi-Newton methods fit for many weights; Martens, 2010, and Le et al., 2011,
train nets with them. Here: logistic regression on 300 rows of the breast
cancer data, unscaled, so badly conditioned, until the loss is 0.1; and a tanh
net of 32 units on 500 digits until it is 0.001; in float64, from the same
weights, with all rows in each step. What counts is the evaluations of loss
and gradient, products with the Hessian among them, up to 600, which is also
what a run counts that never gets there. Adam and momentum have the best of
the same 14 learning rates, whose trials are not counted; the others have
none to set. And L-BFGS on batches of 50, whose curvatures do not belong
together: its loss after as many rows as 20 evaluations of all of them.
"""

import warnings

import keras
import numpy as np
from keras import ops
from sklearn.datasets import load_breast_cancer

from keras_regimen.custom_models import FullBatchModel
from keras_regimen.custom_optimizers import (
    BFGS,
    LBFGS,
    Newton,
    NonlinearConjugateGradient,
)
from keras_regimen.custom_optimizers.autodiff import FlatVariables
from keras_regimen.recipes.harness import Arm, Claim, Recipe, digits, value
from keras_regimen.recipes.optimization.gradient_descent_family import race

RATES = 10.0 ** np.arange(-6, 1, 0.5)
GOALS = {"cancer": 0.1, "digits": 1e-3}
MOST, FEW, BATCH = 600, 20, 50
CLOSURES = {
    "lbfgs": LBFGS,
    "bfgs": BFGS,
    "conjugate_gradients": NonlinearConjugateGradient,
    "newton": Newton,
}
FIRST_ORDER = ("adam", "momentum")


def cancer(seed):
    """Returns a net of one unit, its loss, and rows as they were measured."""
    bunch = load_breast_cancer()
    rows = np.random.default_rng(seed).permutation(len(bunch.data))[:300]
    net = keras.Sequential(
        [
            keras.Input((30,), dtype="float64"),
            keras.layers.Dense(1, kernel_initializer="zeros", dtype="float64"),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True, dtype="float64")
    return net, loss, bunch.data[rows], bunch.target[rows, None] * 1.0


def digits_net(seed):
    x, y = digits(train_size=500)(seed).train
    initial = keras.initializers.GlorotUniform
    net = keras.Sequential(
        [
            keras.Input((64,), dtype="float64"),
            keras.layers.Dense(
                32, "tanh", True, initial(2 * seed), dtype="float64"
            ),
            keras.layers.Dense(
                10, None, True, initial(2 * seed + 1), dtype="float64"
            ),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, dtype="float64"
    )
    return net, loss, x.reshape(len(x), 64).astype("float64"), y


PROBLEMS = {"cancer": cancer, "digits": digits_net}


class Until(keras.callbacks.Callback):
    """Stops at a loss, or after so many evaluations, and keeps both."""

    def __init__(self, goal, most):
        super().__init__()
        self.goal, self.most = goal, most
        self.losses, self.evaluations = [], []

    def on_epoch_end(self, epoch, logs):
        self.losses.append(logs["loss"])
        self.evaluations.append(int(logs["evaluations"]))
        spent = sum(self.evaluations)
        self.model.stop_training = (
            logs["loss"] <= self.goal or spent >= self.most
        )


def of_second_order(method, problem, goal, seed):
    """Returns evaluations, iterations, and the loss after a few of them."""
    net, loss, x, y = PROBLEMS[problem](seed)
    model = FullBatchModel(net)
    model.compile(CLOSURES[method](), loss)
    until = Until(goal, MOST)
    model.fit(x, y, epochs=MOST, verbose=0, callbacks=[until])
    spent = np.cumsum(until.evaluations)
    reached = until.losses[-1] <= goal
    few = [a for a, b in zip(until.losses, spent, strict=True) if b <= FEW]
    return {
        f"log2_evaluations_on_{problem}": np.log2(
            spent[-1] if reached else MOST
        ),
        f"log2_iterations_on_{problem}": np.log2(
            len(spent) if reached else MOST
        ),
        f"log10_few_on_{problem}": np.log10(min(few, default=until.losses[0])),
        f"never_on_{problem}": int(not reached),
    }


def of_first_order(method, problem, goal, seed):
    net, loss, x, y = PROBLEMS[problem](seed)
    x, y = ops.convert_to_tensor(x), ops.convert_to_tensor(y)
    flat = FlatVariables(net.trainable_variables)
    of_one = flat.function(lambda: loss(y, net(x)))

    def of_each(weights, step):
        return ops.vectorized_map(of_one, weights)

    start = ops.convert_to_numpy(flat.read())
    steps, reached = race(method, start, of_each, goal, MOST, rates=RATES)
    return {
        f"log2_evaluations_on_{problem}": np.log2(steps),
        f"never_on_{problem}": int(not reached),
    }


def on_batches(seed):
    """Returns what L-BFGS comes to when each step sees other rows."""
    net, loss, x, y = digits_net(seed)
    model = FullBatchModel(net)
    model.compile(LBFGS(), loss)
    rng, until = np.random.default_rng(seed), Until(0.0, np.inf)
    while sum(until.evaluations) * BATCH < FEW * len(x):
        rows = rng.choice(len(x), BATCH, replace=False)
        with warnings.catch_warnings():
            # A line search that fails is what this is about.
            warnings.simplefilter("ignore")
            model.fit(x[rows], y[rows], verbose=0, callbacks=[until])
    return {"log10_few_on_digits": np.log10(float(loss(y, net(x))))}


def measure(hp, seed):
    method = hp.Choice("method", [*CLOSURES, *FIRST_ORDER, "batches"])
    if method == "batches":
        return on_batches(seed)
    only = hp.Choice("only", ["all", *GOALS])
    run = of_first_order if method in FIRST_ORDER else of_second_order
    figures = {}
    for problem, goal in GOALS.items():
        if only in ("all", problem):
            figures |= run(method, problem, goal, seed)
    return figures


def fewer(
    statement,
    source,
    treatment,
    baseline,
    problem,
    metric="log2_evaluations",
    smallest_effect=1.0,
):
    return Claim(
        statement,
        source,
        treatment,
        baseline,
        metric=value(f"{metric}_on_{problem}"),
        better="lower",
        smallest_effect=smallest_effect,
    )


LE, LIU = "Le et al., 2011", "Liu and Nocedal, 1989"
recipe = Recipe(
    claims=[
        fewer(
            "L-BFGS trains a net with at most half the gradients of Adam.",
            LE,
            "lbfgs",
            "adam",
            "digits",
        ),
        fewer("And of momentum.", LE, "lbfgs", "momentum", "digits"),
        fewer(
            "Where features are not scaled, too, against Adam.",
            LIU,
            "lbfgs",
            "adam",
            "cancer",
        ),
        fewer("And against momentum.", LIU, "lbfgs", "momentum", "cancer"),
        fewer(
            "L-BFGS needs fewer gradients than conjugate gradients.",
            LIU,
            "lbfgs",
            "conjugate_gradients",
            "cancer",
            smallest_effect=0.25,
        ),
        fewer(
            "BFGS, which remembers all steps, needs fewer than L-BFGS.",
            LIU,
            "bfgs",
            "lbfgs",
            "cancer",
            smallest_effect=0.25,
        ),
        fewer(
            "Newton's method needs at most half the iterations of L-BFGS.",
            "Martens, 2010",
            "newton",
            "lbfgs",
            "digits",
            "log2_iterations",
        ),
        fewer(
            "And, its products counted, no more gradients.",
            "Martens, 2010",
            "newton",
            "lbfgs",
            "digits",
            smallest_effect=0.25,
        ),
        fewer(
            "On batches L-BFGS breaks: after as many rows its loss is higher.",
            LE,
            "lbfgs",
            "batches",
            "digits",
            "log10_few",
            smallest_effect=0.5,
        ),
    ],
    arms={
        "bfgs": Arm({"method": "bfgs", "only": "cancer"}),
        "lbfgs": Arm({"method": "lbfgs"}),
        "conjugate_gradients": Arm(
            {"method": "conjugate_gradients", "only": "cancer"}
        ),
        "newton": Arm({"method": "newton", "only": "digits"}),
        "adam": Arm({"method": "adam"}),
        "momentum": Arm({"method": "momentum"}),
        "batches": Arm({"method": "batches"}),
    },
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
