"""Sharpness-aware minimization: does a flat neighbourhood beat wrong labels?

Foret et al., 2020 (https://arxiv.org/abs/2010.01412) let each step descend by
the gradient at the worst weights nearby, and report lower test errors on
clean images and, where labels are wrong, errors as low as those of methods
made for that. Kwon et al., 2021 (https://arxiv.org/abs/2102.11600) let the
neighbourhood grow with each weight, and report lower ones still. Here: two
hidden layers of 256 units on 1,000 images of digits, once with 30 % of the
training and validation labels replaced and once clean, 480 updates of SGD
with momentum and a cosine decay. Radii are searched on validation data, and
so is the learning rate of the net without: each arm by the same budget. A
step takes two gradients, so plain training at equal cost has twice as many
updates. Arms are read at the last epoch, as in the papers, and at the one
that validation picks: an early stop is the cheap remedy against wrong labels.
"""

import keras

from keras_regimen.custom_models import SharpnessAwareModel
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Recipe,
    at_best_epoch,
    digits,
    final,
)

STEPS, EPOCHS = 20, 24
METHODS = {"plain": 1, "sam": 2, "asam": 2}  # Gradients of a step.


class CountGradients(keras.callbacks.Callback):
    """Logs how many gradients an epoch takes, for the cost of the verdict."""

    def __init__(self, gradients):
        super().__init__()
        self.gradients = gradients

    def on_epoch_end(self, epoch, logs=None):
        logs["evaluations"] = STEPS * self.gradients


def gradients_of(hp):
    return METHODS[hp.Choice("method", list(METHODS))]


def epochs(hp):
    return EPOCHS * (2 if hp.Boolean("longer") else 1)


def build(hp, data):
    method = hp.Choice("method", list(METHODS))
    learning_rate = 0.1
    if method == "plain":
        learning_rate = hp.Choice(
            "learning_rate", [0.003, 0.01, 0.03, 0.1, 0.3]
        )
    elif method == "sam":
        rho = hp.Choice("rho", [0.05, 0.1, 0.2, 0.4, 0.8])
    else:
        rho = hp.Choice("rho_adaptive", [0.25, 0.5, 1.0, 2.0, 4.0])
    model = keras.Sequential(
        [
            keras.Input(data.input_shape),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(data.num_classes, activation="softmax"),
        ]
    )
    if method != "plain":
        model = SharpnessAwareModel(model, rho, adaptive=method == "asam")
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate, decay_steps=STEPS * epochs(hp)
    )
    model.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9),
        loss="sparse_categorical_crossentropy",
    )
    return model


def arm(method, longer=False, **tuned_on):
    return Arm({"method": method, "longer": longer}, tuned_on=tuned_on)


STOPPED = at_best_epoch("test_error", monitor="val_loss")


def claim(
    statement,
    treatment,
    baseline,
    metric=STOPPED,
    on="noisy",
    smallest_effect=0.01,
    source="Foret et al., 2020, section 3",
):
    return Claim(
        statement,
        source=source,
        treatment=treatment,
        baseline=baseline,
        metric=metric,
        better="lower",
        smallest_effect=smallest_effect,
        on=on,
        # What chance scores, should a run diverge.
        worst=0.9,
    )


recipe = Recipe(
    claims=[
        claim(
            "Sharpness-aware minimization lowers the test error under wrong "
            "labels of a net that stops early.",
            "sam",
            "plain",
        ),
        claim(
            "It lowers the test error of a net that trains to the end.",
            "sam",
            "plain",
            final("test_error"),
        ),
        claim(
            "At equal cost, it beats twice as many plain updates.",
            "sam",
            "plain_longer",
        ),
        claim(
            "Adaptive neighbourhoods lower the test error further.",
            "asam",
            "sam",
            smallest_effect=0.005,
            source="Kwon et al., 2021, section 5",
        ),
        claim(
            "It lowers the test error with clean labels, too.",
            "sam",
            "plain",
            on="clean",
            smallest_effect=0.005,
        ),
        claim(
            "With clean labels and at equal cost, it beats twice as many "
            "plain updates.",
            "sam",
            "plain_longer",
            on="clean",
            smallest_effect=0.005,
        ),
    ],
    arms={
        "plain": arm(
            "plain",
            noisy={"learning_rate": 0.03},
            clean={"learning_rate": 0.1},
        ),
        "plain_longer": arm(
            "plain",
            longer=True,
            noisy={"learning_rate": 0.01},
            clean={"learning_rate": 0.1},
        ),
        "sam": arm("sam", noisy={"rho": 0.4}, clean={"rho": 0.2}),
        "asam": arm(
            "asam",
            noisy={"rho_adaptive": 2.0},
            clean={"rho_adaptive": 0.5},
        ),
    },
    # Wrong labels make validation coarse: more rows than usual.
    data={
        "noisy": digits(validation_size=400, label_noise=0.3),
        "clean": digits(validation_size=400),
    },
    takes="vector",
    target="classes",
    build=build,
    callbacks=lambda hp: [CountGradients(gradients_of(hp))],
    epochs=epochs,
    steps_per_epoch=STEPS,
    batch_size=50,
)

if __name__ == "__main__":
    recipe.main()
