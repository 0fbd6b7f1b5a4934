"""Dropout at inference: how many subnets match weight scaling?

Srivastava et al., 2014 (JMLR 15, pages 1929-1958, section 7.5) predict with
scaled weights and with the average of k subnets that dropout draws; around 50
of them do as well on MNIST. Here: two hidden layers of 256 units with dropout
and max-norm on 300 images of digits. Arms differ in how the same trained net
predicts, so nothing is tuned. What weight scaling computes is known for one
hidden layer (Hinton et al., 2012, https://arxiv.org/abs/1207.0580): the
normalized geometric mean of all subnets. A net of 10 hidden units has 1,024,
few enough to ask each.
"""

import itertools

import keras
import numpy as np
from scipy.special import log_softmax, softmax

from keras_regimen.custom_layers import MonteCarloDropout
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Exact,
    Recipe,
    digits,
    value,
)


def build(hp, data):
    prediction = hp.Choice(
        "prediction",
        ["weight_scaling", "samples", "geometric_mean", "arithmetic_mean"],
    )
    few = prediction in ("geometric_mean", "arithmetic_mean")
    inputs = x = keras.Input(data.input_shape)
    for units in (10,) if few else (256, 256):
        max_norm = keras.constraints.MaxNorm(0.8)
        x = keras.layers.Dense(units, "relu", kernel_constraint=max_norm)(x)
        x = keras.layers.Dropout(0.5)(x)
    outputs = keras.layers.Dense(data.num_classes, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=1000)
    model.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9),
        loss="sparse_categorical_crossentropy",
    )
    return model


def subnets(model):
    """Returns a net of the same weights that drops at prediction, too."""
    # A seed for each layer, or all would drop units of the same places.
    seeds = itertools.count()

    def swapped(layer):
        if isinstance(layer, keras.layers.Dropout):
            return MonteCarloDropout(layer.rate, seed=next(seeds))
        return layer

    return keras.models.clone_model(model, clone_function=swapped)


def every_subnet(model, x):
    """Yields, for some rows at a time, the log probabilities of all subnets.

    They have the shape `(subnets, rows, classes)`.
    """
    hidden, dropout, readout = model.layers[1:]
    kernel, bias = readout.get_weights()
    masks = itertools.product((0, 1), repeat=len(kernel))
    kept = np.array(list(masks)) / (1 - dropout.rate)
    for part in np.array_split(x, 10):
        features = np.array(hidden(part), "float64")
        dropped = kept[:, None, :] * features
        yield log_softmax(dropped @ kernel + bias, axis=-1)


def predicted(hp, model, x):
    prediction = hp.get("prediction")
    if prediction == "weight_scaling":
        return model.predict(x, batch_size=1024, verbose=0)
    if prediction == "samples":
        net = subnets(model)
        passes = range(hp.Int("samples", 1, 50))
        return np.mean([net.predict_on_batch(x) for _ in passes], axis=0)
    each = every_subnet(model, x)
    if prediction == "arithmetic_mean":
        return np.concatenate([np.exp(part).mean(axis=0) for part in each])
    return np.concatenate([softmax(part.mean(axis=0), -1) for part in each])


def evaluate(hp, model, data):
    x, y = data.test
    ours = predicted(hp, model, x)
    scaled = model.predict(x, batch_size=1024, verbose=0)
    error, scaled_error = (
        np.mean(p.argmax(axis=-1) != y) for p in (ours, scaled)
    )
    likelihood = np.maximum(ours[np.arange(len(y)), y], keras.config.epsilon())
    return {
        "error": error,
        "loss": -np.log(likelihood).mean(),
        "error_above_scaling": error - scaled_error,
        "gap_to_scaling": np.abs(ours - scaled).max(),
    }


def claim(statement, treatment, baseline, metric, smallest_effect):
    return Claim(
        statement,
        source="Srivastava et al., 2014, section 7.5",
        treatment=treatment,
        baseline=baseline,
        metric=metric,
        better="lower",
        smallest_effect=smallest_effect,
    )


ERROR, LOSS = value("error", resolution=1 / 1297), value("loss")

recipe = Recipe(
    claims=[
        claim(
            "The average of 50 subnets errs less than one subnet.",
            "samples_50",
            "samples_1",
            ERROR,
            0.03,
        ),
        claim(
            "The average of 10 subnets errs less than that of 3.",
            "samples_10",
            "samples_3",
            ERROR,
            0.005,
        ),
        claim(
            "Weight scaling errs less than the average of 10 subnets.",
            "weight_scaling",
            "samples_10",
            ERROR,
            0.002,
        ),
        Exact(
            "The average of 50 subnets errs on half a point more than weight "
            "scaling at most.",
            source="Srivastava et al., 2014, section 7.5",
            metric=value("error_above_scaling"),
            arm="samples_50",
            at_most=0.005,
        ),
        claim(
            "The average of 50 subnets, nearer to that of all, has a lower "
            "test loss than weight scaling.",
            "samples_50",
            "weight_scaling",
            LOSS,
            0.02,
        ),
        Exact(
            "With one hidden layer weight scaling is the normalized geometric "
            "mean of all subnets.",
            source="Hinton et al., 2012, introduction",
            metric=value("gap_to_scaling"),
            arm="geometric_mean",
            at_most=1e-5,
        ),
        claim(
            "The arithmetic mean of all subnets has a lower test loss than "
            "their geometric mean.",
            "arithmetic_mean",
            "geometric_mean",
            LOSS,
            0.02,
        ),
    ],
    arms={
        "weight_scaling": Arm({"prediction": "weight_scaling"}),
        **{
            f"samples_{k}": Arm({"prediction": "samples", "samples": k})
            for k in (1, 3, 10, 50)
        },
        "geometric_mean": Arm({"prediction": "geometric_mean"}),
        "arithmetic_mean": Arm({"prediction": "arithmetic_mean"}),
    },
    data=digits(train_size=300),
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
