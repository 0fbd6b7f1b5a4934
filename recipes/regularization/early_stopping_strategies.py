"""Early stopping: what to do with the validation data once it has stopped?

Goodfellow, Bengio and Courville, 2016 (Deep Learning, section 7.8): they may
join the training data, by training anew on all of them for as long as was
best (algorithm 7.2), or by training on until the loss on what was validation
data is as low as the training loss was at the best epoch (algorithm 7.3),
which avoids the cost of training anew, but is not as well-behaved and may
never get there. Here: two hidden layers of 256 units on digits, 750 rows for
training and 250 for validation, 30 % of the labels of both replaced; test
labels are true. All arms have the rate that the recipe `early_stopping` found
for patience, and all but one the same first training. `best_of_two` is what
else the price of retraining buys: a second start, on the same rows, of which
the validation loss decides.
"""

import math
import warnings

import keras
import numpy as np

from keras_regimen.callbacks import EarlyStopping, refit_on_all_data
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Recipe,
    digits,
    final,
    value,
)

BATCH_SIZE = 50
STRATEGIES = ["to_the_end", "stop", "best_of_two", "retrain", "continue"]


def build(hp, data):
    inputs = x = keras.Input(data.input_shape)
    for _ in range(2):
        x = keras.layers.Dense(256, activation="relu")(x)
    outputs = keras.layers.Dense(data.num_classes, activation="softmax")(x)
    return compiled(keras.Model(inputs, outputs))


def compiled(model):
    model.compile(
        optimizer=keras.optimizers.SGD(0.0411, momentum=0.9),
        loss="sparse_categorical_crossentropy",
    )
    return model


def train(hp, model, data, fit):
    strategy = hp.Choice("strategy", STRATEGIES)
    if strategy == "to_the_end":
        fit(model)
        return model
    if strategy in ("retrain", "continue"):
        return refitted(model, data, fit, strategy)
    starts = [model]
    if strategy == "best_of_two":
        other = copy_of(model)
        other.set_weights(
            [shuffled(weights) for weights in model.get_weights()]
        )
        starts.append(other)
    losses = []
    for start in starts:
        stopper = EarlyStopping(patience=10, restore="weights")
        fit(start, callbacks=[stopper])
        losses.append(stopper.best)
    return starts[np.argmin(losses)]


def refitted(model, data, fit, strategy):
    def build_again():
        fresh = copy_of(model)
        fresh.set_weights(model.get_weights())
        return fresh

    def fit_on(model, x, y, epochs, callbacks=None, **options):
        # What a callback ends may take as long as the recipe says.
        epochs = None if callbacks else epochs
        return fit(
            model, x, y, epochs=epochs, callbacks=callbacks or [], **options
        )

    with warnings.catch_warnings():
        # Where the target is not reached: that is an outcome, too.
        warnings.filterwarnings("ignore", message="The loss on the validation")
        found = refit_on_all_data(
            build_again,
            *data.train,
            data.validation,
            strategy,
            EarlyStopping(patience=10, restore="training_state"),
            batch_size=BATCH_SIZE,
            fit=fit_on,
        )
    found.model.further_epochs = found.extra_epochs
    return found.model


def copy_of(model):
    return compiled(keras.models.clone_model(model))


def shuffled(weights):
    return np.random.permutation(weights.ravel()).reshape(weights.shape)


def evaluate(hp, model, data):
    rows = len(data.train[0]) + len(data.validation[0])
    updates = math.ceil(rows / BATCH_SIZE)
    return {"further_updates": getattr(model, "further_epochs", 0) * updates}


def claim(statement, algorithm, treatment, baseline, smallest_effect, metric):
    return Claim(
        statement,
        source=f"Goodfellow et al., 2016, {algorithm}",
        treatment=treatment,
        baseline=baseline,
        metric=metric,
        better="lower",
        smallest_effect=smallest_effect,
    )


ERROR = final("test_error")

recipe = Recipe(
    claims=[
        claim(
            "Retraining on all data lowers the test error.",
            "algorithm 7.2",
            "retrain",
            "stop",
            0.01,
            ERROR,
        ),
        claim(
            "Training on with all data lowers the test error.",
            "algorithm 7.3",
            "continue",
            "stop",
            0.01,
            ERROR,
        ),
        claim(
            "Retraining is worth more than a second start.",
            "algorithm 7.2, at equal cost",
            "retrain",
            "best_of_two",
            0.01,
            ERROR,
        ),
        claim(
            "Retraining generalizes better than training on.",
            "section 7.8",
            "retrain",
            "continue",
            0.01,
            ERROR,
        ),
        claim(
            "Training on takes fewer further updates than retraining.",
            "section 7.8",
            "continue",
            "retrain",
            50,
            value("further_updates"),
        ),
        claim(
            "Stopping early lowers the test error.",
            "algorithm 7.1",
            "stop",
            "to_the_end",
            0.03,
            ERROR,
        ),
    ],
    arms={name: Arm({"strategy": name}) for name in STRATEGIES},
    data=digits(train_size=750, validation_size=250, label_noise=0.3),
    takes="vector",
    target="classes",
    build=build,
    train=train,
    evaluate=evaluate,
    epochs=60,
    batch_size=BATCH_SIZE,
)

if __name__ == "__main__":
    recipe.main()
