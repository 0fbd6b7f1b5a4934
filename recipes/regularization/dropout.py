"""Dropout: does it beat weight decay and max-norm in a wide net?

Srivastava et al., 2014 (JMLR 15, pages 1929-1958, table 9) train one wide net
on MNIST with six regularizers and find dropout with a max-norm constraint to
be the best of them. Here: two hidden layers of 256 units on 1,000 images of
digits, once with clean labels and once with 30 % of the training and
validation labels replaced. Arms are read at the epoch that their validation
loss picks, since beating a net that overfits on would prove little, and at
the last one, as the paper does. Test labels are always clean. The paper's
radii of 3 and 4 would bind no unit of a net with 64 inputs, so the search is
among radii that most units reach.
"""

import keras

from keras_regimen.custom_layers import StandardDropout
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Recipe,
    at_best_epoch,
    digits,
    final,
)

DROPOUTS = {"inverted": keras.layers.Dropout, "2014": StandardDropout}


def build(hp, data):
    dropout = hp.Choice("dropout", ["none", *DROPOUTS])
    penalty = hp.Choice("penalty", ["none", "l2"])
    constraint = hp.Choice("constraint", ["none", "max_norm"])
    if dropout != "none":
        rate = hp.Float("rate", 0.1, 0.7, default=0.5)
    if penalty == "l2":
        strength = hp.Float("l2", 1e-5, 1e-2, sampling="log", default=1e-3)
    if constraint == "max_norm":
        radius = hp.Float("max_norm", 0.25, 1.0, default=0.5)
    learning_rate = hp.Float(
        "learning_rate", 0.01, 0.3, sampling="log", default=0.1
    )

    inputs = x = keras.Input(data.input_shape)
    for _ in range(2):
        x = keras.layers.Dense(
            256,
            activation="relu",
            kernel_regularizer=(
                keras.regularizers.L2(strength) if penalty == "l2" else None
            ),
            kernel_constraint=(
                keras.constraints.MaxNorm(radius)
                if constraint == "max_norm"
                else None
            ),
        )(x)
        if dropout != "none":
            x = DROPOUTS[dropout](rate)(x)
    outputs = keras.layers.Dense(data.num_classes, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate, decay_steps=1200
    )
    model.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9),
        loss="sparse_categorical_crossentropy",
    )
    return model


def arm(dropout="none", penalty="none", constraint="none", **tuned_on):
    fixed = {"dropout": dropout, "penalty": penalty, "constraint": constraint}
    return Arm(fixed, tuned_on=tuned_on)


STOPPED = at_best_epoch("test_error", monitor="val_loss")


def claim(statement, treatment, baseline, on="noisy", metric=STOPPED):
    return Claim(
        statement,
        source="Srivastava et al., 2014, table 9",
        treatment=treatment,
        baseline=baseline,
        metric=metric,
        better="lower",
        smallest_effect=0.01,
        on=on,
    )


recipe = Recipe(
    claims=[
        claim(
            "Dropout lowers the test error of a net that stops early.",
            "dropout",
            "plain",
        ),
        claim(
            "Dropout lowers the test error of a net that trains to the end.",
            "dropout",
            "plain",
            metric=final("test_error"),
        ),
        claim("Dropout beats an L2 penalty.", "dropout", "l2"),
        claim(
            "A max-norm constraint helps dropout further.",
            "dropout_max_norm",
            "dropout",
        ),
        claim(
            "The form of 2014 beats inverted dropout (a control).",
            "dropout_2014",
            "dropout",
        ),
        claim(
            "Dropout lowers the test error with clean labels, too.",
            "dropout",
            "plain",
            on="clean",
        ),
    ],
    arms={
        "plain": arm(
            noisy={"learning_rate": 0.0225},
            clean={"learning_rate": 0.267},
        ),
        "l2": arm(
            penalty="l2",
            noisy={"l2": 7.87e-3, "learning_rate": 0.0342},
            clean={"l2": 1.35e-4, "learning_rate": 0.127},
        ),
        "max_norm": arm(
            constraint="max_norm",
            noisy={"max_norm": 0.758, "learning_rate": 0.218},
            clean={"max_norm": 0.758, "learning_rate": 0.218},
        ),
        "dropout": arm(
            "inverted",
            noisy={"rate": 0.413, "learning_rate": 0.0185},
            clean={"rate": 0.181, "learning_rate": 0.258},
        ),
        "dropout_max_norm": arm(
            "inverted",
            constraint="max_norm",
            noisy={"rate": 0.375, "max_norm": 0.536, "learning_rate": 0.088},
            clean={"rate": 0.326, "max_norm": 0.81, "learning_rate": 0.0908},
        ),
        "dropout_2014": arm(
            "2014",
            noisy={"rate": 0.655, "learning_rate": 0.113},
            clean={"rate": 0.181, "learning_rate": 0.258},
        ),
    },
    data={"noisy": digits(label_noise=0.3), "clean": digits()},
    takes="vector",
    target="classes",
    build=build,
    epochs=60,
    batch_size=50,
)

if __name__ == "__main__":
    recipe.main()
