"""Averaging weights: is it worth a decay of the learning rate?

With a constant learning rate, SGD ends by jittering around a minimum. Polyak
and Juditsky, 1992 (https://doi.org/10.1137/0330046) take the mean of all
iterates: on a quadratic with noise its variance falls as 1/t, whatever rate
and curvature. Izmailov et al., 2018 (https://arxiv.org/abs/1803.05407) take
the mean of the weights at the ends of late epochs (SWA). Here: 240 updates of
20,000 weights for each of three curvatures, on quadratics whose minimum is
noisy. And then a net of two hidden layers of 64 units on 1,000 images of
digits, 10 % of the labels replaced, 720 updates by SGD with momentum, means
over the second half. Each arm trains at the same four learning rates, and is
judged at the one with the lowest error on validation data. A cosine decay
without a mean is the cheap remedy that averaging is held against. Test labels
are clean.
"""

import keras
import numpy as np
from keras import ops

from keras_regimen.callbacks import (
    LearningRateDecay,
    StochasticWeightAveraging,
)
from keras_regimen.custom_models import fit_in_memory
from keras_regimen.custom_optimizers import PolyakAveraging
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Exact,
    Recipe,
    digits,
    value,
)

CURVATURES = np.array([0.2, 0.5, 1.0])
RATE, WEIGHTS, UPDATES = 0.5, 20_000, 240
RATES = (0.01, 0.03, 0.1, 0.3)
EPOCHS, STEPS = 30, 24
METHODS = ("constant", "polyak", "swa", "cosine")


def variances(optimizer, minima):
    """Returns the variance of the final weights, one for each curvature."""
    curvatures = np.repeat(CURVATURES, minima.shape[1] // len(CURVATURES))
    weights = keras.layers.Dense(
        len(curvatures), use_bias=False, kernel_initializer="zeros"
    )
    model = keras.Sequential([keras.Input((1,)), weights])
    curvatures = curvatures.astype("float32")
    model.compile(
        optimizer, lambda y, w: ops.sum(curvatures * ops.square(w - y), -1) / 2
    )
    ones = np.ones((len(minima), 1), "float32")
    fit_in_memory(model, ones, minima, batch_size=1, shuffle=False, verbose=0)
    squares = np.square(ops.convert_to_numpy(weights.kernel))
    return squares.reshape(len(CURVATURES), -1).mean(axis=1)


def variance_of_mean(updates):
    """Returns what it is for a start at the minimum."""
    left = (1 - RATE * CURVATURES) ** np.arange(1, updates + 1)[:, None]
    return np.sum(np.square(1 - left), axis=0) / updates**2


def on_quadratic(seed):
    rng = np.random.default_rng(seed)
    shape = UPDATES, len(CURVATURES) * WEIGHTS
    minima = rng.normal(size=shape).astype("float32")
    sgd = keras.optimizers.SGD
    last = variances(sgd(RATE), minima)
    half, mean = (
        variances(PolyakAveraging(sgd(RATE)), minima[:updates])
        for updates in (UPDATES // 2, UPDATES)
    )
    return {
        "gap_of_mean": np.max(np.abs(mean / variance_of_mean(UPDATES) - 1)),
        "share_of_last": np.max(mean / last),
        "share_of_half": np.max(mean / half),
    }


def net(method):
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    if method == "polyak":
        optimizer = PolyakAveraging(optimizer, start_step=EPOCHS * STEPS // 2)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def callbacks(method, rate):
    def scheduled(epoch):
        angle = np.pi * epoch / EPOCHS if method == "cosine" else 0.0
        return rate * (1 + np.cos(angle)) / 2

    found = [LearningRateDecay(scheduled)]
    if method == "swa":
        found.append(StochasticWeightAveraging(start_epoch=EPOCHS // 2))
    return found


def error(model, data):
    x, y = data
    return np.mean(ops.convert_to_numpy(model(x)).argmax(axis=1) != y)


def on_digits(method, seed):
    splits = digits(label_noise=0.1)(seed).to("vector", "classes")
    # Data that are prepared for the first time have drawn numbers, too.
    keras.utils.set_random_seed(seed)
    model = net(method)
    state = [*model.variables, *model.optimizer.variables]
    start = [ops.convert_to_numpy(variable) for variable in state]
    found = []
    for rate in RATES:
        for variable, array in zip(state, start, strict=True):
            variable.assign(array)
        fit_in_memory(
            model,
            *splits.train,
            batch_size=50,
            epochs=EPOCHS,
            steps_per_epoch=STEPS,
            shuffle=np.random.default_rng(seed),
            callbacks=callbacks(method, rate),
            verbose=0,
        )
        errors = (
            error(model, part) for part in (splits.validation, splits.test)
        )
        found.append((*errors, rate))
    # By validation data alone, and of equals the lowest rate.
    validation_error, test_error, rate = min(found, key=lambda one: one[0])
    return {
        "validation_error": validation_error,
        "test_error": test_error,
        "learning_rate": rate,
        "mean_test_error": np.mean([one[1] for one in found]),
    }


def measure(hp, seed):
    method = hp.Choice("method", ["quadratic", *METHODS])
    if method == "quadratic":
        return on_quadratic(seed)
    return on_digits(method, seed)


POLYAK, IZMAILOV = "Polyak and Juditsky, 1992", "Izmailov et al., 2018"


def claim(statement, source, treatment, baseline, metric, smallest_effect):
    return Claim(
        statement,
        source=source,
        treatment=treatment,
        baseline=baseline,
        metric=value(metric),
        better="lower",
        smallest_effect=smallest_effect,
    )


def exactly(statement, metric, at_most):
    return Exact(
        statement,
        source=f"{POLYAK}, theorem 1",
        metric=value(metric),
        arm="quadratic",
        at_most=at_most,
    )


recipe = Recipe(
    claims=[
        claim(
            "The mean of the late epochs' weights lowers the test error at a "
            "constant learning rate.",
            f"{IZMAILOV}, section 5.1",
            "swa",
            "constant",
            "test_error",
            0.01,
        ),
        claim(
            "So does the mean of all late iterates.",
            POLYAK,
            "polyak",
            "constant",
            "test_error",
            0.01,
        ),
        claim(
            "The mean of the late epochs' weights ends with a lower test "
            "error than that of all late iterates.",
            f"{IZMAILOV}, section 3",
            "swa",
            "polyak",
            "test_error",
            0.005,
        ),
        claim(
            "The mean of the late epochs' weights ends with a lower test "
            "error than a cosine decay.",
            f"{IZMAILOV}, section 5.1",
            "swa",
            "cosine",
            "test_error",
            0.005,
        ),
        claim(
            "It depends less on the learning rate: its mean test error over "
            "the rates is lower than with a cosine decay.",
            f"{IZMAILOV}, section 5.6",
            "swa",
            "cosine",
            "mean_test_error",
            0.005,
        ),
        exactly(
            "On a noisy quadratic, the mean has the variance of the formula.",
            "gap_of_mean",
            0.05,
        ),
        exactly(
            "It falls as 1/t: twice the updates halve it.",
            "share_of_half",
            0.57,
        ),
        exactly(
            "It is far below that of the last iterate.", "share_of_last", 0.1
        ),
    ],
    arms={
        method: Arm({"method": method}) for method in (*METHODS, "quadratic")
    },
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
