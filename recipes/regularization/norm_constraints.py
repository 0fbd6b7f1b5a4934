"""Norm constraints: does a bound on each unit's weights keep noise out?

Srebro, Rennie and Jaakkola, 2005 (Maximum-Margin Matrix Factorization) bound
the norm of each row of a factor, the max-norm, in place of the sum of all
squares. Hinton et al., 2012 (https://arxiv.org/abs/1207.0580) and Srivastava
et al., 2014 (JMLR 15, pages 1929-1958, section 5.1) do so with each unit's
incoming weights, alone and with dropout, and train with learning rates that
would make the weights of other nets blow up. Here: two hidden layers of 128
units on 1,000 images of digits, 30 % of the training and validation labels
replaced, 1,000 updates with a learning rate that decays. The bound is on the
L2 norm of each unit, on its L1 norm, or on all of a kernel's squares together;
a radius of 3, as in the papers, would bind no unit here. Arms are read at the
epoch that their validation loss picks, and `fast` arms, which share a learning
rate of 0.3, at the last one. Test labels are always clean.
"""

import math

import keras
import numpy as np

from keras_regimen.custom_regularizers.constraints import L1Ball, L2Ball
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Exact,
    Recipe,
    at_best_epoch,
    digits,
    final,
    value,
)

UNITS = 128
UPDATES = 1000


def bound(constraint, radius):
    """Returns a constraint that a unit of L2 norm `radius` is about at."""
    if constraint == "none":
        return None
    if constraint == "max_norm":
        return L2Ball(radius)
    if constraint == "l1_ball":
        # The L1 norm of 64 equal weights.
        return L1Ball(8 * radius)
    return L2Ball(math.sqrt(UNITS) * radius, axis=(0, 1))


def build(hp, data):
    constraint = hp.Choice(
        "constraint", ["none", "max_norm", "l1_ball", "frobenius"]
    )
    penalty = hp.Choice("penalty", ["none", "l2"])
    dropout = hp.Boolean("dropout")
    radius = strength = rate = 0.0
    if constraint != "none":
        radius = hp.Float("radius", 0.25, 1.0, sampling="log", default=0.5)
    if penalty == "l2":
        strength = hp.Float("l2", 1e-4, 3e-2, sampling="log", default=1e-3)
    if dropout:
        rate = hp.Float("rate", 0.2, 0.7, default=0.5)
    learning_rate = hp.Float(
        "learning_rate", 0.01, 0.3, sampling="log", default=0.1
    )
    inputs = x = keras.Input(data.input_shape)
    for _ in range(2):
        x = keras.layers.Dense(
            UNITS,
            activation="relu",
            kernel_regularizer=keras.regularizers.L2(strength),
            kernel_constraint=bound(constraint, radius),
        )(x)
        x = keras.layers.Dropout(rate)(x)
    outputs = keras.layers.Dense(data.num_classes, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate, decay_steps=UPDATES
    )
    model.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9),
        loss="sparse_categorical_crossentropy",
        # The loss without the penalty.
        metrics=[keras.metrics.SparseCategoricalCrossentropy(name="nll")],
    )
    return model


def evaluate(hp, model, data):
    """Returns the share of the norms that ended below their bound."""
    shares = []
    for layer in model.layers:
        limit = getattr(layer, "kernel_constraint", None)
        if limit is not None:
            kernel = keras.ops.convert_to_numpy(layer.kernel)
            order = 1 if isinstance(limit, L1Ball) else 2
            columns = kernel if limit.axis is None else kernel.reshape(-1, 1)
            norms = np.linalg.norm(columns, order, axis=0)
            shares.append(np.mean(norms < 0.999 * limit.radius))
    return {"share_below_bound": np.mean(shares)} if shares else {}


STOPPED = at_best_epoch("test_error", monitor="val_nll")
CONSTRAINED = ("max_norm", "l1_ball", "frobenius", "dropout_max_norm")


def claim(
    statement, source, treatment, baseline, metric=STOPPED, smallest_effect=0.01
):
    return Claim(
        statement,
        source=source,
        treatment=treatment,
        baseline=baseline,
        metric=metric,
        better="lower",
        smallest_effect=smallest_effect,
        worst=0.9,  # What chance scores, should a run diverge.
    )


def arm(constraint="none", penalty="none", dropout=False, tuned=None, **fixed):
    fixed |= {"constraint": constraint, "penalty": penalty, "dropout": dropout}
    return Arm(fixed, tuned=tuned or {})


HINTON = "Hinton et al., 2012"
SREBRO = "Srebro, Rennie and Jaakkola, 2005"
SRIVASTAVA = "Srivastava et al., 2014, section 5.1"

recipe = Recipe(
    claims=[
        claim(
            "A max-norm constraint alone lowers the test error.",
            SRIVASTAVA,
            "max_norm",
            "plain",
        ),
        claim(
            "It lowers the test error of a net that trains to the end.",
            SRIVASTAVA,
            "max_norm",
            "plain",
            final("test_error"),
        ),
        claim("It beats an L2 penalty.", HINTON, "max_norm", "l2"),
        claim(
            "A bound on each unit beats one on the whole kernel.",
            SREBRO,
            "max_norm",
            "frobenius",
        ),
        claim(
            "A bound on the L2 norm of a unit beats one on its L1 norm (a "
            "control).",
            HINTON,
            "max_norm",
            "l1_ball",
        ),
        claim(
            "A max-norm constraint helps dropout.",
            SRIVASTAVA,
            "dropout_max_norm",
            "dropout",
        ),
        claim(
            "Dropout helps a max-norm constraint.",
            SRIVASTAVA,
            "dropout_max_norm",
            "max_norm",
        ),
        claim(
            "At a learning rate of 0.3, a max-norm constraint lowers the test "
            "error.",
            HINTON,
            "max_norm_fast",
            "plain_fast",
            final("test_error"),
            0.05,
        ),
        claim(
            "At a learning rate of 0.3, a max-norm constraint lowers the test "
            "error of a net with dropout.",
            HINTON,
            "dropout_max_norm_fast",
            "dropout_fast",
            final("test_error"),
            0.05,
        ),
        *(
            Exact(
                f"Half of the norms or more end at the bound ({name}).",
                source=SREBRO,
                metric=value("share_below_bound"),
                arm=name,
                at_most=0.5,
            )
            for name in CONSTRAINED
        ),
    ],
    arms={
        "plain": arm(tuned={"learning_rate": 0.0301}),
        "l2": arm(penalty="l2", tuned={"l2": 1.40e-3, "learning_rate": 0.0698}),
        "max_norm": arm(
            "max_norm", tuned={"radius": 0.593, "learning_rate": 0.149}
        ),
        "l1_ball": arm(
            "l1_ball", tuned={"radius": 0.468, "learning_rate": 0.0502}
        ),
        "frobenius": arm(
            "frobenius", tuned={"radius": 0.475, "learning_rate": 0.0698}
        ),
        "dropout": arm(
            dropout=True, tuned={"rate": 0.426, "learning_rate": 0.0502}
        ),
        "dropout_max_norm": arm(
            "max_norm",
            dropout=True,
            tuned={"radius": 0.639, "rate": 0.653, "learning_rate": 0.0175},
        ),
        "plain_fast": arm(learning_rate=0.3),
        "max_norm_fast": arm("max_norm", learning_rate=0.3, radius=0.5),
        "dropout_fast": arm(dropout=True, learning_rate=0.3, rate=0.5),
        "dropout_max_norm_fast": arm(
            "max_norm", dropout=True, learning_rate=0.3, rate=0.5, radius=0.5
        ),
    },
    data=digits(label_noise=0.3),
    takes="vector",
    target="classes",
    build=build,
    evaluate=evaluate,
    epochs=20,
    steps_per_epoch=UPDATES // 20,
    batch_size=50,
)

if __name__ == "__main__":
    recipe.main()
