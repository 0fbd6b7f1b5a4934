"""Small batches: does batch renormalization mend batch normalization?

Ioffe, 2017 (https://arxiv.org/abs/1702.03275) trains an Inception net with
the statistics of four images, and finds that batch renormalization keeps most
of the accuracy that batch normalization loses; with usual batches the two are
equal. Here: three hidden layers of 100 units on 1,000 images of digits, 2,000
updates with batches of 4 or of 32, each arm at its own best learning rate.
The paper does not search one for each, so three arms share a rate of 0.05.
Rivals are Keras' own `renorm=True`, which has neither limits nor a ramp, and
layers that use no statistics of the batch. Labels are clean.
"""

import keras

from keras_regimen.custom_layers import (
    BatchRenormalization,
    GhostBatchNormalization,
    UnbiasedBatchNormalization,
)
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Recipe,
    digits,
    final,
    steps_to,
)

UPDATES = 2000
# The paper's ramp, 62.5 times shorter.
RAMP = {"ramp_start": 80, "r_ramp_end": 640, "d_ramp_end": 400}
NO_RAMP = dict.fromkeys(RAMP, 0)

NORMALIZATIONS = {
    "batch_norm": lambda: UnbiasedBatchNormalization(),
    "keras_batch_norm": lambda: keras.layers.BatchNormalization(),
    "batch_renorm": lambda: BatchRenormalization(**RAMP),
    "no_ramp": lambda: BatchRenormalization(**NO_RAMP),
    "keras_renorm": lambda: keras.layers.BatchNormalization(renorm=True),
    "ghosts_of_4": lambda: GhostBatchNormalization(virtual_batch_size=4),
    "group_norm": lambda: keras.layers.GroupNormalization(groups=4),
    "layer_norm": lambda: keras.layers.LayerNormalization(),
}


def build(hp, data):
    normalization = hp.Choice("normalization", list(NORMALIZATIONS))
    learning_rate = hp.Float(
        "learning_rate", 0.002, 0.2, sampling="log", default=0.05
    )
    inputs = x = keras.Input(data.input_shape)
    for _ in range(3):
        x = keras.layers.Dense(100)(x)
        x = NORMALIZATIONS[normalization]()(x)
        x = keras.layers.Activation("relu")(x)
    outputs = keras.layers.Dense(data.num_classes, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate, momentum=0.9),
        loss="sparse_categorical_crossentropy",
    )
    return model


def arm(normalization, batch_size=4, tuned=None, **fixed):
    fixed |= {"normalization": normalization, "batch_size": batch_size}
    return Arm(fixed, tuned=tuned or {})


ERROR = final("test_error")


def claim(
    statement,
    treatment,
    baseline,
    smallest_effect=0.01,
    metric=ERROR,
    section="4.2",
):
    return Claim(
        statement,
        source=f"Ioffe, 2017, section {section}",
        treatment=treatment,
        baseline=baseline,
        metric=metric,
        better="lower",
        smallest_effect=smallest_effect,
    )


recipe = Recipe(
    claims=[
        claim(
            "Batch renormalization lowers the test error with batches of four.",
            "batch_renorm",
            "batch_norm",
        ),
        claim(
            "Batch renormalization trains in fewer steps with batches of four.",
            "batch_renorm",
            "batch_norm",
            200,
            metric=steps_to("val_error", 0.05),
        ),
        claim(
            "Batch renormalization lowers the test error with batches of four "
            "where both have a learning rate of 0.05.",
            "batch_renorm_fast",
            "batch_norm_fast",
            0.02,
        ),
        claim(
            "Batch renormalization lowers the test error with batches of 32, "
            "too (a control: the paper finds no difference).",
            "batch_renorm_32",
            "batch_norm_32",
            0.005,
            section="4.1",
        ),
        claim(
            "In batches of 32, statistics of all lower the test error against "
            "statistics of four (a control: not the gradients of four samples "
            "are at fault).",
            "batch_norm_32",
            "ghosts_of_4",
        ),
        claim(
            "The ramp lowers the test error of batch renormalization.",
            "batch_renorm",
            "no_ramp",
            section="3",
        ),
        claim(
            "Limits and ramp lower the test error against Keras' "
            "`renorm=True` where both have a learning rate of 0.05.",
            "batch_renorm_fast",
            "keras_renorm_fast",
            0.02,
            section="3",
        ),
        claim(
            "The unbiased moving variance lowers the test error of batch "
            "normalization with batches of four (a control).",
            "batch_norm",
            "keras_batch_norm",
        ),
        claim(
            "Batch renormalization beats group normalization with batches of "
            "four (a control).",
            "batch_renorm",
            "group_norm",
        ),
        claim(
            "Batch renormalization beats layer normalization with batches of "
            "four (a control).",
            "batch_renorm",
            "layer_norm",
        ),
    ],
    arms={
        "batch_norm": arm("batch_norm", tuned={"learning_rate": 0.00593}),
        "keras_batch_norm": arm(
            "keras_batch_norm", tuned={"learning_rate": 0.00371}
        ),
        "batch_renorm": arm("batch_renorm", tuned={"learning_rate": 0.00598}),
        "no_ramp": arm("no_ramp", tuned={"learning_rate": 0.0352}),
        "group_norm": arm("group_norm", tuned={"learning_rate": 0.00371}),
        "layer_norm": arm("layer_norm", tuned={"learning_rate": 0.00371}),
        "batch_norm_32": arm(
            "batch_norm", 32, tuned={"learning_rate": 0.00598}
        ),
        "batch_renorm_32": arm(
            "batch_renorm", 32, tuned={"learning_rate": 0.163}
        ),
        "ghosts_of_4": arm("ghosts_of_4", 32, tuned={"learning_rate": 0.00371}),
        "batch_norm_fast": arm("batch_norm", learning_rate=0.05),
        "batch_renorm_fast": arm("batch_renorm", learning_rate=0.05),
        "keras_renorm_fast": arm("keras_renorm", learning_rate=0.05),
    },
    data=digits(),
    takes="vector",
    target="classes",
    build=build,
    epochs=20,
    steps_per_epoch=UPDATES // 20,
    batch_size=lambda hp: hp.Int("batch_size", 4, 32),
)

if __name__ == "__main__":
    recipe.main()
