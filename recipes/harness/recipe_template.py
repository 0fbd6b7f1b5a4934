"""Input noise: does it help where labels are wrong?

This file runs as it is; make it your own from top to bottom. Replace this text
by your question, by who claims what about it (authors, year, section), and by
how this experiment differs from theirs. Its first line heads every table. As
it is, the script adds Gaussian noise to the inputs of a small net that learns
from 300 images of digits, with 30 % of their labels replaced.
"""

import keras

from keras_regimen.callbacks import EarlyStopping
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Recipe,
    at_best_epoch,
    digits,
)


def build(hp, data):
    """Returns a compiled model. Replace it by yours, technique included.

    What arms or a search may vary is asked of `hp`, by name and with its
    range, where it is used; shapes are asked of `data`, so that other data
    fit as well.
    """
    noise = hp.Float("noise", 0.0, 1.0, default=0.0)
    learning_rate = hp.Float(
        "learning_rate", 1e-4, 1e-1, sampling="log", default=3e-3
    )
    inputs = keras.Input(data.input_shape)
    x = keras.layers.GaussianNoise(noise)(inputs)
    for _ in range(2):
        x = keras.layers.Dense(64, activation="relu")(x)
    outputs = keras.layers.Dense(data.num_classes, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
    )
    return model


recipe = Recipe(
    # Replace the claims before anything runs, the one that matters first: a
    # claim that is chosen by its figures proves nothing. An effect smaller
    # than `smallest_effect` would not be worth the technique.
    claims=[
        Claim(
            "Noise on the inputs lowers the test error.",
            source="folklore",
            treatment="noise",
            baseline="plain",
            metric=at_best_epoch("test_error", monitor="val_loss"),
            better="lower",
            smallest_effect=0.01,
        )
    ],
    # Arms differ in one thing, or nobody knows what made the difference. The
    # baseline deserves the same care: `regimen tune` searches what is left
    # free here (the learning rate) with the same budget for each arm; what it
    # finds goes into `Arm({...}, tuned={"learning_rate": ...})`.
    arms={
        "plain": Arm({"noise": 0.0}),
        "noise": Arm({"noise": 0.3}),
    },
    # Replace the data by a function of a seed that returns
    # `Splits(train, validation, test)`, each a pair of arrays `(x, y)`; draw
    # the split by the seed, or the word hangs on one lucky split. For a first
    # look at other data `--data wine` or `--data file.csv:target` will do.
    data=digits(train_size=300, label_noise=0.3),
    takes="vector",
    target="classes",
    build=build,
    # Both arms stop early: to beat a net that overfits would prove little.
    callbacks=[EarlyStopping(patience=5)],
    epochs=40,
    batch_size=32,
    # Fewer than 6 seeds can decide nothing; 10 is a fair start.
    seeds=10,
)

if __name__ == "__main__":
    recipe.main()
