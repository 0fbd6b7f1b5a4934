"""Learning-rate decay: what is it worth, and does its form matter?

Robbins and Monro, 1951 (https://doi.org/10.1214/aoms/1177729586) show that
steps must shrink, as 1/t, for noise to average out: with a constant rate it
never does. Nets are trained with a rate that falls in steps (He et al., 2016,
https://arxiv.org/abs/1512.03385), exponentially, or along a cosine
(Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983). Here: 200
updates of 20,000 weights on a quadratic whose minimum is noisy. And then a net
of two hidden layers of 64 units on 1,000 images of digits, 10 % of the labels
replaced, 720 updates by SGD with momentum. Each arm trains at the same four
initial rates, and is judged at the one with the lowest error on validation
data. Test labels are clean.
"""

import keras
import numpy as np
from keras import ops
from keras.optimizers import SGD, schedules

from keras_regimen.callbacks import LearningRateDecay
from keras_regimen.custom_models import fit_in_memory
from keras_regimen.custom_optimizers import StepDecay
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Exact,
    Recipe,
    digits,
    value,
)

CONSTANT, WEIGHTS, UPDATES = 0.1, 20_000, 200
RATES = (0.01, 0.03, 0.1, 0.3)
EPOCHS, STEPS = 30, 24
# Functions of the epoch. The last ones end at about a hundredth.
SCHEDULES = {
    "constant": lambda rate: lambda epoch: rate,
    "step": lambda rate: StepDecay(rate, steps=EPOCHS // 3, factor=0.1),
    "exponential": lambda rate: schedules.ExponentialDecay(rate, EPOCHS, 0.01),
    "cosine": lambda rate: schedules.CosineDecay(rate, EPOCHS),
}


def weights_after(rate, minima):
    """Returns what SGD makes of weights that start at 0, one for a column."""
    layer = keras.layers.Dense(
        minima.shape[1], use_bias=False, kernel_initializer="zeros"
    )
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile(SGD(rate), lambda y, w: ops.sum(ops.square(w - y), -1) / 2)
    ones = np.ones((len(minima), 1), "float32")
    fit_in_memory(model, ones, minima, batch_size=1, shuffle=False, verbose=0)
    return ops.convert_to_numpy(layer.kernel)[0]


def on_quadratic(seed):
    rng = np.random.default_rng(seed)
    minima = rng.normal(size=(UPDATES, WEIGHTS)).astype("float32")
    decayed = schedules.InverseTimeDecay(1.0, decay_steps=1, decay_rate=1.0)
    mean = weights_after(decayed, minima)
    variance = np.mean(np.square(weights_after(CONSTANT, minima)))
    return {
        "gap_of_mean": np.max(np.abs(mean - minima.mean(axis=0))),
        "gap_of_floor": abs(variance / (CONSTANT / (2 - CONSTANT)) - 1),
        "share": np.mean(np.square(mean)) / variance,
    }


def net():
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = SGD(0.1, momentum=0.9)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def error(model, data):
    x, y = data
    return np.mean(ops.convert_to_numpy(model(x)).argmax(axis=1) != y)


def on_digits(schedule, seed):
    splits = digits(label_noise=0.1)(seed).to("vector", "classes")
    # Data that are prepared for the first time have drawn numbers, too.
    keras.utils.set_random_seed(seed)
    model = net()
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
            callbacks=[LearningRateDecay(SCHEDULES[schedule](rate))],
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
    schedule = hp.Choice("schedule", ["inverse_time", *SCHEDULES])
    if schedule == "inverse_time":
        return on_quadratic(seed)
    return on_digits(schedule, seed)


def claim(
    statement,
    source,
    treatment,
    baseline="constant",
    metric="test_error",
    smallest_effect=0.01,
):
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
        source="Robbins and Monro, 1951",
        metric=value(metric),
        arm="inverse_time",
        at_most=at_most,
    )


SGDR = "Loshchilov and Hutter, 2017"

recipe = Recipe(
    claims=[
        claim(
            "A cosine decay lowers the test error of a constant rate.",
            f"{SGDR}, section 4",
            "cosine",
        ),
        claim(
            "A decay in steps lowers it.", "He et al., 2016, section 4", "step"
        ),
        claim("An exponential decay lowers it.", "folklore", "exponential"),
        claim(
            "A cosine decay ends with a lower test error than one in steps.",
            f"{SGDR}, section 4.1",
            "cosine",
            "step",
            smallest_effect=0.005,
        ),
        claim(
            "With a decay the initial rate matters less: the mean test error "
            "over the rates is lower.",
            "folklore",
            "cosine",
            metric="mean_test_error",
        ),
        exactly(
            "With a rate of 1/t, SGD ends at the mean of all noisy minima.",
            "gap_of_mean",
            1e-5,
        ),
        exactly(
            "With a constant rate the variance stays where it says.",
            "gap_of_floor",
            0.06,
        ),
        exactly("That of 1/t is far below it.", "share", 0.11),
    ],
    arms={
        name: Arm({"schedule": name}) for name in (*SCHEDULES, "inverse_time")
    },
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
