"""Stochastic depth: does dropping whole residual branches help a deep net?

Huang et al., 2016 (https://arxiv.org/abs/1603.09382) drop each residual branch
at random while training, the deeper the branch the more often, and report a
lower test error of ResNets of 110 layers, stronger gradients in their first
layer, and a quarter less training time. Here: a residual MLP of 14 layers on
1,000 images of digits, once with 20 % of the training and validation labels
replaced and once with clean ones. Arms are read at the epoch that their
validation loss picks, since beating a net that overfits on would prove
little, and at the last one, as the paper does. Test labels are always clean.
We draw for each sample, the paper for a batch. A dropped branch is computed
all the same and masked, so that no time is saved, and none is claimed: an
update costs more, and `plain_longer` has a third more of them.
"""

import math

import keras
import numpy as np

from keras_regimen.custom_layers import StochasticDepth, linear_decay_rates
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Recipe,
    at_best_epoch,
    digits,
    final,
    value,
)

BRANCHES = 6
UPDATES_PER_EPOCH = 20


def drop_rates(rate, growing):
    """Returns the rate of each branch; their mean is the same either way."""
    rates = linear_decay_rates(rate, BRANCHES)
    return rates if growing else [math.fsum(rates) / BRANCHES] * BRANCHES


def build(hp, data):
    dropped = hp.Choice("dropped", ["nothing", "branches", "units"])
    rates = [0.0] * BRANCHES
    if dropped != "nothing":
        rate = hp.Float("rate", 0.0, 0.8, default=0.5)
        rates = drop_rates(rate, hp.Boolean("growing"))
    learning_rate = hp.Float(
        "learning_rate", 0.003, 0.3, sampling="log", default=0.03
    )

    inputs = keras.Input(data.input_shape)
    x = keras.layers.Dense(64, activation="relu", name="first")(inputs)
    for branch_rate in rates:
        branch = keras.layers.Dense(64)(x)
        branch = keras.layers.BatchNormalization(momentum=0.9)(branch)
        branch = keras.layers.Activation("relu")(branch)
        if dropped == "units":
            branch = keras.layers.Dropout(branch_rate)(branch)
        branch = keras.layers.Dense(64)(branch)
        branch = keras.layers.BatchNormalization(momentum=0.9)(branch)
        if dropped == "branches":
            branch = StochasticDepth(branch_rate)(branch)
        x = keras.layers.Activation("relu")(keras.layers.Add()([x, branch]))
    outputs = keras.layers.Dense(data.num_classes, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate, decay_steps=epochs(hp) * UPDATES_PER_EPOCH
    )
    model.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9),
        loss="sparse_categorical_crossentropy",
    )
    return model


def epochs(hp):
    return hp.Int("epochs", 30, 40)


def evaluate(hp, model, data):
    """Returns the size of the first kernel's gradient at the end."""
    twin = keras.models.clone_model(model)
    for ours, trained in zip(twin.variables, model.variables, strict=True):
        ours.assign(trained)
    # A step of gradient descent moves a weight by its gradient times the
    # rate, which is large here, since a small step would drown in rounding.
    rate = 1e4
    twin.compile(keras.optimizers.SGD(rate), model.loss, run_eagerly=True)
    kernel = twin.get_layer("first").kernel
    before = np.array(kernel)
    twin.train_on_batch(*data.train)
    gradient = (before - np.array(kernel)) / rate
    return {"log10_gradient": np.log10(np.mean(np.abs(gradient)))}


STOPPED = at_best_epoch("test_error", monitor="val_loss")
GRADIENT = {"metric": value("log10_gradient"), "better": "higher"}


def claim(statement, baseline, smallest_effect, on="noisy", **options):
    return Claim(
        statement,
        source="Huang et al., 2016, sections 4 and 5",
        treatment="stochastic_depth",
        baseline=baseline,
        smallest_effect=smallest_effect,
        on=on,
        **{"metric": STOPPED, "better": "lower", **options},
    )


def arm(dropped, noisy, clean, epochs=30, **settings):
    return Arm(
        {"dropped": dropped, "epochs": epochs, **settings},
        tuned_on={
            "noisy": {"learning_rate": noisy},
            "clean": {"learning_rate": clean},
        },
    )


recipe = Recipe(
    claims=[
        claim(
            "Stochastic depth lowers the test error of a net that stops early.",
            "plain",
            smallest_effect=0.01,
        ),
        claim(
            "Stochastic depth lowers the test error of a net that trains to "
            "the end.",
            "plain",
            smallest_effect=0.03,
            metric=final("test_error"),
        ),
        claim(
            "Stochastic depth lowers the test error at equal cost, too.",
            "plain_longer",
            smallest_effect=0.01,
        ),
        claim(
            "Stochastic depth lowers the test error with clean labels, too.",
            "plain",
            smallest_effect=0.0025,
            on="clean",
        ),
        claim(
            "Rates that grow with depth beat a constant one of their mean.",
            "constant_rate",
            smallest_effect=0.005,
        ),
        claim(
            "Dropping branches beats dropping as many units (a control).",
            "dropout",
            smallest_effect=0.005,
        ),
        claim(
            "Stochastic depth keeps the first layer's gradient larger.",
            "plain",
            smallest_effect=0.1,
            on="clean",
            **GRADIENT,
        ),
        claim(
            "Dropped branches keep that gradient larger than dropped units do "
            "(a control).",
            "dropout",
            smallest_effect=0.1,
            on="clean",
            **GRADIENT,
        ),
    ],
    arms={
        "plain": arm("nothing", noisy=0.116, clean=0.0528),
        "plain_longer": arm("nothing", noisy=0.0528, clean=0.0528, epochs=40),
        "stochastic_depth": arm(
            "branches", noisy=0.0089, clean=0.0528, rate=0.5, growing=True
        ),
        "constant_rate": arm(
            "branches", noisy=0.00898, clean=0.0133, rate=0.5, growing=False
        ),
        "dropout": arm(
            "units", noisy=0.0133, clean=0.00898, rate=0.5, growing=False
        ),
    },
    data={"noisy": digits(label_noise=0.2), "clean": digits()},
    takes="vector",
    target="classes",
    build=build,
    evaluate=evaluate,
    epochs=epochs,
    steps_per_epoch=UPDATES_PER_EPOCH,
    batch_size=50,
)

if __name__ == "__main__":
    recipe.main()
