"""Batch normalization: does it make deep nets train in fewer steps?

Ioffe and Szegedy, 2015 (https://arxiv.org/abs/1502.03167) reach the accuracy
of an Inception net in 14 times fewer steps with batch normalization and a
higher learning rate, and train one with sigmoid units, which does not learn
without it. Here: six hidden layers of 100 units on 1,000 images of digits,
800 updates, each arm at its own best learning rate; without that the ratio of
steps would say more of the rate than of the method. A step with batch
normalization costs half as much again, so `relu_longer` trains for 1,200.
"""

import keras

from keras_regimen.custom_layers import UnbiasedBatchNormalization
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Recipe,
    digits,
    final,
    steps_to,
)

NORMALIZATIONS = {
    "keras": keras.layers.BatchNormalization,
    "unbiased": UnbiasedBatchNormalization,
}


def build(hp, data):
    activation = hp.Choice("activation", ["sigmoid", "relu"])
    normalization = hp.Choice("normalization", ["none", *NORMALIZATIONS])
    learning_rate = hp.Float(
        "learning_rate", 0.01, 3.0, sampling="log", default=0.1
    )
    inputs = x = keras.Input(data.input_shape)
    for _ in range(6):
        x = keras.layers.Dense(100)(x)
        if normalization != "none":
            x = NORMALIZATIONS[normalization](momentum=0.9)(x)
        x = keras.layers.Activation(activation)(x)
    outputs = keras.layers.Dense(data.num_classes, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate),
        loss="sparse_categorical_crossentropy",
    )
    return model


def arm(activation, normalization, epochs=80, **tuned):
    fixed = {"activation": activation, "normalization": normalization}
    return Arm({**fixed, "epochs": epochs}, tuned=tuned)


recipe = Recipe(
    claims=[
        Claim(
            "Batch normalization trains a deep sigmoid net in fewer steps.",
            source="Ioffe and Szegedy, 2015, sections 4.1 and 4.2.2",
            treatment="sigmoid_batch_norm",
            baseline="sigmoid",
            metric=steps_to("val_error", 0.1),
            better="lower",
            smallest_effect=200,
        ),
        Claim(
            "Batch normalization trains a deep ReLU net in fewer steps.",
            source="Ioffe and Szegedy, 2015, section 4.2.2",
            treatment="relu_batch_norm",
            baseline="relu",
            metric=steps_to("val_error", 0.1),
            better="lower",
            smallest_effect=30,
        ),
        Claim(
            "Batch normalization lowers the test error of a deep ReLU net.",
            source="Ioffe and Szegedy, 2015, section 4.2.2",
            treatment="relu_batch_norm",
            baseline="relu",
            metric=final("test_error"),
            better="lower",
            smallest_effect=0.005,
        ),
        Claim(
            "Batch normalization lowers the test error at equal cost, too.",
            source="Ioffe and Szegedy, 2015, section 4.2.2",
            treatment="relu_batch_norm",
            baseline="relu_longer",
            metric=final("test_error"),
            better="lower",
            smallest_effect=0.005,
        ),
        Claim(
            "The unbiased moving variance of algorithm 2 lowers the test "
            "error against Keras' biased one (a control).",
            source="Ioffe and Szegedy, 2015, algorithm 2",
            treatment="relu_unbiased",
            baseline="relu_batch_norm",
            metric=final("test_error"),
            better="lower",
            smallest_effect=0.005,
        ),
    ],
    arms={
        "sigmoid": arm("sigmoid", "none", learning_rate=0.0215),
        "sigmoid_batch_norm": arm("sigmoid", "keras", learning_rate=0.349),
        "relu": arm("relu", "none", learning_rate=0.15),
        "relu_longer": arm("relu", "none", 120, learning_rate=0.15),
        "relu_batch_norm": arm("relu", "keras", learning_rate=0.349),
        "relu_unbiased": arm("relu", "unbiased", learning_rate=0.349),
    },
    data=digits(),
    takes="vector",
    target="classes",
    build=build,
    epochs=lambda hp: hp.Int("epochs", 80, 120),
    steps_per_epoch=10,
    batch_size=50,
)

if __name__ == "__main__":
    recipe.main()
