"""The learning-rate range test: does it find a rate worth training with?

Smith, 2015 (https://arxiv.org/abs/1506.01186) lets the rate rise in one short
training, and reads from the loss where rates begin to work and where they
break. Here: a net of two hidden layers of 64 units on 1,000 images of digits,
400 updates. `valley` and `steepest` spend 100 of these on a test of rates from
0.00001 to 10, and train for the other 300 at what `LearningRateFinder`
suggests. `default` trains at the rate that Keras gives to the optimizer,
`grid` at seven rates, 400 updates each, of which validation data choose one.
SGD has no momentum; Adam's default is held to be a good one.
"""

import keras
import numpy as np
from keras import ops

from keras_regimen.callbacks import LearningRateFinder
from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Exact,
    Recipe,
    digits,
    value,
)

GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
EPOCHS, STEPS, BATCH = 20, 20, 50
TEST_EPOCHS = 5
OPTIMIZERS = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}


def net(optimizer):
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    optimizer = OPTIMIZERS[optimizer]()
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def error(model, data):
    x, y = data
    return np.mean(ops.convert_to_numpy(model(x)).argmax(axis=1) != y)


def train(model, splits, seed, epochs):
    fit_in_memory(
        model,
        *splits.train,
        batch_size=BATCH,
        epochs=epochs,
        steps_per_epoch=STEPS,
        shuffle=np.random.default_rng(seed),
        verbose=0,
    )


def suggested(model, splits, seed, method):
    """Returns the rate that a range test suggests; the model stays."""
    order = np.random.default_rng([seed, 1]).permutation(len(splits.train[1]))
    x, y = (array[order] for array in splits.train)
    finder = LearningRateFinder(1e-5, 10.0, steps=TEST_EPOCHS * STEPS)
    finder.find(model, x, y, batch_size=BATCH, shuffle=False)
    return finder.suggestion(method)


def best_of_grid(model, splits, seed):
    """Trains at all rates; returns the best by validation data, its error."""
    state = [*model.variables, *model.optimizer.variables]
    start = [ops.convert_to_numpy(variable) for variable in state]
    found = []
    for rate in GRID:
        for variable, array in zip(state, start, strict=True):
            variable.assign(array)
        model.optimizer.learning_rate = rate
        train(model, splits, seed, EPOCHS)
        test_error = error(model, splits.test)
        found.append((error(model, splits.validation), test_error, rate))
    for variable, array in zip(state, start, strict=True):
        variable.assign(array)
    # By validation data alone, and of equals the lowest rate.
    _, test_error, rate = min(found, key=lambda one: one[0])
    return rate, test_error


def measure(hp, seed):
    optimizer = hp.Choice("optimizer", list(OPTIMIZERS))
    method = hp.Choice("method", ["default", "valley", "steepest", "grid"])
    splits = digits()(seed).to("vector", "classes")
    # Data that are prepared for the first time have drawn numbers, too.
    keras.utils.set_random_seed(seed)
    model = net(optimizer)
    updates = EPOCHS * STEPS
    if method == "grid":
        rate, test_error = best_of_grid(model, splits, seed)
        return {
            "test_error": test_error,
            "learning_rate": rate,
            "updates": len(GRID) * updates,
        }
    figures = {"updates": updates}
    epochs = EPOCHS
    rate = float(ops.convert_to_numpy(model.optimizer.learning_rate))
    if method != "default":
        best, _ = best_of_grid(model, splits, seed)
        rate = suggested(model, splits, seed, method)
        figures["decades_from_grid"] = abs(np.log10(rate / best))
        epochs -= TEST_EPOCHS
    model.optimizer.learning_rate = rate
    train(model, splits, seed, epochs)
    figures["learning_rate"] = rate
    return figures | {"test_error": error(model, splits.test)}


SOURCE = "Smith, 2015, section 3.3"


def claim(statement, treatment, baseline, smallest_effect):
    return Claim(
        statement,
        source=SOURCE,
        treatment=treatment,
        baseline=baseline,
        metric=value("test_error"),
        better="lower",
        smallest_effect=smallest_effect,
    )


recipe = Recipe(
    claims=[
        claim(
            "At the same cost, the middle of the longest descent is a better "
            "rate for SGD than its default.",
            "sgd_valley",
            "sgd_default",
            0.02,
        ),
        claim(
            "So is the rate where the loss falls fastest.",
            "sgd_steepest",
            "sgd_default",
            0.02,
        ),
        claim(
            "A grid of whole trainings, at seven times the cost, finds a "
            "better rate (a control).",
            "sgd_grid",
            "sgd_valley",
            0.005,
        ),
        claim(
            "The test finds a better rate than Adam's default, too.",
            "adam_valley",
            "adam_default",
            0.005,
        ),
        Exact(
            "The middle of the descent is within a factor of 10 of the "
            "grid's best rate.",
            source=SOURCE,
            metric=value("decades_from_grid"),
            arm="sgd_valley",
            at_most=1.0,
        ),
        Exact(
            "So is the rate where the loss falls fastest.",
            source=SOURCE,
            metric=value("decades_from_grid"),
            arm="sgd_steepest",
            at_most=1.0,
        ),
    ],
    arms={
        f"{optimizer}_{method}": Arm({"optimizer": optimizer, "method": method})
        for optimizer, method in (
            ("sgd", "default"),
            ("sgd", "valley"),
            ("sgd", "steepest"),
            ("sgd", "grid"),
            ("adam", "default"),
            ("adam", "valley"),
        )
    },
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
