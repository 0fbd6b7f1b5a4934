"""Input noise: does it help more than weight decay?

Bishop, 1995 (Neural Computation 7, pages 108-116) shows that training with
small noise on the inputs amounts to a Tikhonov penalty: on the squared slopes
of the outputs by the inputs, where weight decay is on the weights. Here: two
hidden layers of 256 units on 300 and on 1,000 images of digits, each arm with
a strength and a learning rate of its own. Arms are read at the epoch that
their validation loss picks; the slopes are those of the trained net, on test
images.
"""

import keras
import numpy as np

from keras_regimen.custom_layers import WeightNoise
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Recipe,
    at_best_epoch,
    digits,
    value,
)


def build(hp, data):
    regularizer = hp.Choice(
        "regularizer", ["none", "input_noise", "weight_noise", "weight_decay"]
    )
    input_noise = weight_noise = weight_decay = 0.0
    if regularizer == "input_noise":
        input_noise = hp.Float("input_noise", 0.02, 0.5, sampling="log")
    if regularizer == "weight_noise":
        weight_noise = hp.Float("weight_noise", 0.005, 0.2, sampling="log")
    if regularizer == "weight_decay":
        weight_decay = hp.Float("weight_decay", 2e-4, 0.2, sampling="log")
    learning_rate = hp.Float(
        "learning_rate", 0.01, 0.3, sampling="log", default=0.1
    )

    inputs = keras.Input(data.input_shape)
    x = keras.layers.GaussianNoise(input_noise)(inputs)
    for units, activation in (
        (256, "relu"),
        (256, "relu"),
        (data.num_classes, "softmax"),
    ):
        x = WeightNoise(keras.layers.Dense(units, activation), weight_noise)(x)
    model = keras.Model(inputs, x)
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate, decay_steps=1000
    )
    # Decay, not a penalty, which would stand in the loss that arms are read by.
    optimizer = keras.optimizers.SGD(
        schedule, momentum=0.9, weight_decay=weight_decay
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    return model


def evaluate(hp, model, data):
    """Measures Bishop's penalty: the mean squared slope of the outputs."""
    x, _ = data.test
    # A random direction's squared slope is the squared slopes' sum on average.
    step = 1e-2 * np.random.default_rng(0).normal(size=x.shape)
    shifted, outputs = (
        model.predict(inputs, batch_size=1024, verbose=0)
        for inputs in (x + step, x)
    )
    rise = (shifted - outputs) / 1e-2
    slopes = np.mean(np.sum(np.square(rise), axis=-1))
    return {"log10_squared_slopes": np.log10(slopes)}


LOSS = at_best_epoch("test_loss", monitor="val_loss")
ERROR = at_best_epoch("test_error", monitor="val_loss")


def claim(statement, baseline, metric, smallest_effect, on="small"):
    return Claim(
        statement,
        source="Bishop, 1995",
        treatment="input_noise",
        baseline=baseline,
        metric=metric,
        better="lower",
        smallest_effect=smallest_effect,
        on=on,
    )


recipe = Recipe(
    claims=[
        claim("Input noise lowers the test loss.", "plain", LOSS, 0.04),
        claim("Input noise lowers the test error.", "plain", ERROR, 0.01),
        claim(
            "Input noise lowers the test error with 1,000 images, too.",
            "plain",
            ERROR,
            0.003,
            on="large",
        ),
        claim(
            "Input noise lowers the squared slopes of the outputs.",
            "plain",
            value("log10_squared_slopes"),
            0.15,
        ),
        claim(
            "Input noise beats weight decay (a control).",
            "weight_decay",
            ERROR,
            0.005,
        ),
        claim(
            "Input noise beats noise on the weights (a control).",
            "weight_noise",
            ERROR,
            0.005,
        ),
    ],
    arms={
        "plain": Arm(
            {"regularizer": "none"},
            tuned_on={
                "small": {"learning_rate": 0.0158},
                "large": {"learning_rate": 0.149},
            },
        ),
        "input_noise": Arm(
            {"regularizer": "input_noise"},
            tuned_on={
                "small": {"input_noise": 0.149, "learning_rate": 0.149},
                "large": {"input_noise": 0.149, "learning_rate": 0.149},
            },
        ),
        "weight_noise": Arm(
            {"regularizer": "weight_noise"},
            tuned_on={
                "small": {"weight_noise": 0.0165, "learning_rate": 0.0216},
                "large": {"weight_noise": 0.0276, "learning_rate": 0.0698},
            },
        ),
        "weight_decay": Arm(
            {"regularizer": "weight_decay"},
            tuned_on={
                "small": {"weight_decay": 0.0148, "learning_rate": 0.149},
                "large": {"weight_decay": 0.0148, "learning_rate": 0.149},
            },
        ),
    },
    data={"small": digits(train_size=300), "large": digits()},
    takes="vector",
    target="classes",
    build=build,
    evaluate=evaluate,
    epochs=20,
    steps_per_epoch=50,
    batch_size=50,
)

if __name__ == "__main__":
    recipe.main()
