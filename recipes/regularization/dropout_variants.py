"""Variants of dropout: which of them help a net to ignore wrong labels?

DropConnect (Wan et al., 2013) drops weights, Gaussian dropout (Srivastava et
al., 2014, section 10) multiplies units by noise, variational dropout
(Molchanov et al., 2017, https://arxiv.org/abs/1701.05369) learns the noise of
each weight, and DropBlock (Ghiasi et al., 2018,
https://arxiv.org/abs/1810.12890) drops regions of feature maps. Here: two
hidden layers of 256 units, and for DropBlock two convolutions, on 1,000
images of digits of which 30 % have a wrong label. Arms are read at the epoch
of the best likelihood on validation rows. Maps of 8 x 8 units leave room for
blocks of 3, not of 7. DropConnect may diverge at a constant learning rate, so
every arm's decays.
"""

import keras

from keras_regimen.custom_layers import (
    DropBlock2D,
    DropConnect,
    VariationalDropout,
)
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Recipe,
    at_best_epoch,
    digits,
)


def build(hp, data):
    net = hp.Choice("net", ["dense", "conv"])
    variant = hp.Choice(
        "variant",
        ["none", "dropout", "gaussian", "connect", "variational", "block"],
    )
    rate = 0.0
    if variant not in ("none", "variational"):
        rate = hp.Float("rate", 0.1, 0.7, default=0.5)
    learning_rate = hp.Float(
        "learning_rate", 0.003, 0.1, sampling="log", default=0.03
    )

    def dense(units, activation):
        layer = keras.layers.Dense(units, activation)
        if variant == "connect":
            return DropConnect(layer, rate)
        if variant == "variational":
            # With no more rows than there are, the penalty prunes everything.
            rows = hp.Int("rows", 30_000, 3_000_000, sampling="log")
            return VariationalDropout(layer, dataset_size=rows)
        return layer

    def dropout():
        if variant == "block":
            return DropBlock2D(rate, block_size=3)
        if variant == "gaussian":
            return keras.layers.GaussianDropout(rate)
        return keras.layers.Dropout(rate if variant == "dropout" else 0.0)

    inputs = x = keras.Input(data.input_shape)
    if net == "conv":
        for filters in (8, 16):
            x = keras.layers.Conv2D(filters, 3, padding="same")(x)
            x = keras.layers.Activation("relu")(x)
            x = dropout()(x)
        x = keras.layers.Flatten()(keras.layers.MaxPooling2D()(x))
    else:
        x = keras.layers.Flatten()(x)
        for _ in range(2):
            x = dropout()(dense(256, "relu")(x))
    model = keras.Model(inputs, dense(data.num_classes, "softmax")(x))
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate, decay_steps=1000
    )
    model.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9),
        loss="sparse_categorical_crossentropy",
        # The loss without variational dropout's penalty.
        metrics=[keras.metrics.SparseCategoricalCrossentropy(name="nll")],
    )
    return model


def claim(statement, source, treatment, baseline, metric=None, effect=0.01):
    return Claim(
        statement,
        source=source,
        treatment=treatment,
        baseline=baseline,
        metric=metric or at_best_epoch("test_error", monitor="val_nll"),
        better="lower",
        smallest_effect=effect,
        # What chance scores, should a run diverge.
        worst=None if metric else 0.9,
    )


recipe = Recipe(
    claims=[
        claim(
            "Dropout lowers the negative log likelihood of the test rows.",
            "Srivastava et al., 2014, section 6",
            "dropout",
            "plain",
            at_best_epoch("test_nll", monitor="val_nll"),
            0.05,
        ),
        claim(
            "DropConnect lowers the test error.",
            "Wan et al., 2013, section 6",
            "drop_connect",
            "plain",
        ),
        claim(
            "DropConnect beats dropout.",
            "Wan et al., 2013, section 6",
            "drop_connect",
            "dropout",
        ),
        claim(
            "Gaussian dropout beats dropout.",
            "Srivastava et al., 2014, section 10",
            "gaussian",
            "dropout",
        ),
        claim(
            "Variational dropout lowers the test error.",
            "Molchanov et al., 2017, section 5",
            "variational",
            "plain",
        ),
        claim(
            "DropBlock lowers the test error of a convolutional net.",
            "Ghiasi et al., 2018, section 4",
            "conv_drop_block",
            "conv_plain",
        ),
        claim(
            "DropBlock beats dropout in a convolutional net.",
            "Ghiasi et al., 2018, section 4",
            "conv_drop_block",
            "conv_dropout",
        ),
    ],
    arms={
        "plain": Arm(
            {"net": "dense", "variant": "none"},
            tuned={"learning_rate": 0.00686},
        ),
        "dropout": Arm(
            {"net": "dense", "variant": "dropout"},
            tuned={"rate": 0.371, "learning_rate": 0.0158},
        ),
        "gaussian": Arm(
            {"net": "dense", "variant": "gaussian"},
            tuned={"rate": 0.371, "learning_rate": 0.0158},
        ),
        "drop_connect": Arm(
            {"net": "dense", "variant": "connect"},
            tuned={"rate": 0.378, "learning_rate": 0.0222},
        ),
        "variational": Arm(
            {"net": "dense", "variant": "variational"},
            tuned={"learning_rate": 0.00934, "rows": 85218},
        ),
        "conv_plain": Arm(
            {"net": "conv", "variant": "none"}, tuned={"learning_rate": 0.00691}
        ),
        "conv_dropout": Arm(
            {"net": "conv", "variant": "dropout"},
            tuned={"rate": 0.378, "learning_rate": 0.0222},
        ),
        "conv_drop_block": Arm(
            {"net": "conv", "variant": "block"},
            tuned={"rate": 0.378, "learning_rate": 0.0222},
        ),
    },
    data=digits(label_noise=0.3),
    takes="image",
    target="classes",
    build=build,
    epochs=20,
    steps_per_epoch=50,
    batch_size=50,
)

if __name__ == "__main__":
    recipe.main()
