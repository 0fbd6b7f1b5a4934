"""Gradient noise: does it start a deep net that was badly initialized?

Neelakantan et al., 2015 (https://arxiv.org/abs/1511.06807) add noise with a
variance of eta / (1 + t)^0.55 to the gradients, after clipping them, and train
nets of 20 layers of 50 ReLUs whose weights start too small. Here: such a net
on 1,000 images of digits, its weights drawn with a standard deviation of 0.1,
1,200 updates of SGD. Each arm is searched on a grid of five values: of eta at
a learning rate of 0.1, or of the learning rate where there is no noise. He
initialization, without noise, is the cheap remedy. Labels are clean.
"""

import keras
import numpy as np

from keras_regimen.custom_optimizers import GradientNoise
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Recipe,
    digits,
    final,
    value,
)

LAYERS, UNITS = 20, 50
UPDATES = 1200


def build(hp, data):
    start = hp.Choice("start", ["small", "he"])
    noise, clipping = hp.Boolean("noise"), hp.Boolean("clipping")
    eta, learning_rate = 0.0, 0.1
    if noise:
        eta = hp.Choice("eta", [0.01, 0.03, 0.1, 0.3, 1.0])
    else:
        learning_rate = hp.Choice("learning_rate", [0.01, 0.03, 0.1, 0.3, 1.0])
    initializers = {
        "small": keras.initializers.RandomNormal,
        "he": keras.initializers.HeNormal,
    }
    options = {"stddev": 0.1} if start == "small" else {}
    inputs = x = keras.Input(data.input_shape)
    for _ in range(LAYERS):
        x = keras.layers.Dense(
            UNITS,
            activation="relu",
            kernel_initializer=initializers[start](**options),
        )(x)
    outputs = keras.layers.Dense(
        data.num_classes,
        activation="softmax",
        kernel_initializer=initializers[start](**options),
    )(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=GradientNoise(
            keras.optimizers.SGD(learning_rate),
            eta,
            clipnorm=1.0 if clipping else None,
        ),
        loss="sparse_categorical_crossentropy",
    )
    return model


def evaluate(hp, model, data):
    """Returns 1 if the net trained at all, else 0."""
    x, y = data.train
    found = keras.ops.convert_to_numpy(model(x)).argmax(axis=1)
    return {"trained": float(np.mean(found == y) > 0.5)}


def claim(statement, section, treatment, baseline, metric=None, effect=0.1):
    return Claim(
        statement,
        source=f"Neelakantan et al., 2015, section {section}",
        treatment=treatment,
        baseline=baseline,
        metric=metric or final("test_error"),
        better="higher" if metric else "lower",
        smallest_effect=effect,
        # What chance scores, should a run diverge.
        worst=0.0 if metric else 0.9,
    )


def arm(start="small", noise=False, clipping=True, tuned=None):
    fixed = {"start": start, "noise": noise, "clipping": clipping}
    return Arm(fixed, tuned=tuned or {})


recipe = Recipe(
    claims=[
        claim(
            "Gradient noise lowers the test error of a deep net whose weights "
            "start too small.",
            "4.1",
            "noise",
            "plain",
        ),
        claim(
            "More of such nets train at all, with more than half of the "
            "training rows right.",
            "4.1",
            "noise",
            "plain",
            value("trained", resolution=1.0),
            0.5,
        ),
        claim(
            "Noise needs gradients that are clipped before.",
            "4.1",
            "noise",
            "noise_unclipped",
        ),
        claim(
            "He initialization without noise ends with a lower test error (a "
            "control).",
            "4.1",
            "he",
            "noise",
            effect=0.02,
        ),
    ],
    arms={
        "plain": arm(tuned={"learning_rate": 1.0}),
        "noise": arm(noise=True, tuned={"eta": 0.1}),
        "noise_unclipped": arm(noise=True, clipping=False, tuned={"eta": 0.03}),
        "he": arm("he", tuned={"learning_rate": 0.03}),
    },
    data=digits(),
    takes="vector",
    target="classes",
    build=build,
    evaluate=evaluate,
    epochs=12,
    steps_per_epoch=UPDATES // 12,
    batch_size=50,
)

if __name__ == "__main__":
    recipe.main()
