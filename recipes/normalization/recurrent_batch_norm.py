"""Recurrent batch normalization: does it make an LSTM train faster?

Cooijmans et al., 2016 (https://arxiv.org/abs/1603.09025) normalize both
products inside an LSTM and its memory, with statistics for each time step and
a scale that starts at 0.1. They report faster training and a lower error on
images read pixel by pixel, in their order and permuted, and that gradients
vanish with a scale of 1. Here: 1,000 images of digits, read as 8 rows of 8
pixels, once as they are and once with their pixels in another order, 480
updates, each arm at its own best learning rate. An update with batch
normalization costs more than twice as much, and `lstm_longer` has 1,320.
"""

import keras
import numpy as np

from keras_regimen.custom_layers import BatchNormLSTM, LayerNormLSTMCell
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Recipe,
    Splits,
    digits,
    final,
    steps_to,
    value,
)

UNITS = 48


def permuted(seed):
    """Returns digits whose pixels stand in another order, always the same."""
    splits = digits()(seed)
    order = np.random.default_rng(0).permutation(64)

    def reordered(x, y):
        return x.reshape(-1, 64)[:, order].reshape(x.shape), y

    parts = (splits.train, splits.validation, splits.test)
    return Splits(*(reordered(*pair) for pair in parts))


def build(hp, data):
    normalization = hp.Choice("normalization", ["none", "batch", "layer"])
    learning_rate = hp.Float(
        "learning_rate", 1e-3, 3e-2, sampling="log", default=3e-3
    )
    options = {"return_state": True, "name": "recurrent"}
    if normalization == "batch":
        recurrent = BatchNormLSTM(
            UNITS,
            max_length=data.input_shape[0],
            momentum=0.9,
            initial_gamma=hp.Float("initial_gamma", 0.05, 2.0, default=0.1),
            **options,
        )
        # Weights that bear the same name in all arms start equal.
        recurrent.cell.name = "lstm_cell"
    elif normalization == "layer":
        cell = LayerNormLSTMCell(UNITS, name="lstm_cell")
        recurrent = keras.layers.RNN(cell, **options)
    else:
        recurrent = keras.layers.LSTM(UNITS, **options)

    inputs = keras.Input(data.input_shape)
    hidden, *_ = recurrent(inputs)
    readout = keras.layers.Dense(
        data.num_classes, activation="softmax", name="readout"
    )
    model = keras.Model(inputs, readout(hidden))
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
    )
    return model


def gradient_size(model, x, y, time):
    """Returns the size of a row's gradient in the hidden state at a time.

    The slope along a random direction has that size on average, so two passes
    forward do, on any backend.
    """
    recurrent, readout = map(model.get_layer, ("recurrent", "readout"))
    direction = np.random.default_rng(0).normal(size=(len(x), UNITS))
    step = 0.01 * direction.astype("float32")
    _, hidden, *rest = recurrent(x[:, :time])

    def loss(hidden):
        if time < x.shape[1]:
            states = [hidden, *rest]
            hidden, *_ = recurrent(x[:, time:], initial_state=states)
        losses = keras.losses.sparse_categorical_crossentropy(
            y, readout(hidden)
        )
        return keras.ops.convert_to_numpy(losses)

    slopes = (loss(hidden + step) - loss(hidden - step)) / 0.02
    return np.sqrt(np.mean(slopes**2))


def evaluate(hp, model, data):
    """Returns how much of the last step's gradient is left at the first."""
    x, y = data.train
    first, last = (gradient_size(model, x, y, t) for t in (1, x.shape[1]))
    return {"log10_gradient_left": np.log10(first / last)}


def claim(statement, smallest_effect, baseline="lstm", **options):
    return Claim(
        statement,
        source="Cooijmans et al., 2016, sections 4 and 5.1",
        treatment="batch_norm",
        baseline=baseline,
        smallest_effect=smallest_effect,
        **{"metric": final("test_error"), "better": "lower", **options},
    )


def arm(normalization, sequential, permuted, updates_per_epoch=12, **settings):
    return Arm(
        {
            "normalization": normalization,
            "updates_per_epoch": updates_per_epoch,
            **settings,
        },
        tuned_on={
            "sequential": {"learning_rate": sequential},
            "permuted": {"learning_rate": permuted},
        },
    )


recipe = Recipe(
    claims=[
        claim(
            "Recurrent batch normalization lowers an LSTM's test error.",
            smallest_effect=0.01,
        ),
        claim(
            "Recurrent batch normalization trains an LSTM in fewer steps.",
            smallest_effect=60,
            metric=steps_to("val_error", 0.1),
        ),
        claim(
            "Recurrent batch normalization lowers the test error on permuted "
            "pixels, too.",
            smallest_effect=0.01,
            on="permuted",
        ),
        claim(
            "Recurrent batch normalization lowers the test error at equal "
            "cost, too.",
            smallest_effect=0.005,
            baseline="lstm_longer",
        ),
        claim(
            "Recurrent batch normalization beats layer normalization (a "
            "control).",
            smallest_effect=0.005,
            baseline="layer_norm",
        ),
        claim(
            "A scale that starts at 0.1 lowers the test error against 1.",
            smallest_effect=0.005,
            baseline="batch_norm_scale_1",
        ),
        claim(
            "A scale that starts at 0.1 leaves more gradient to early steps.",
            smallest_effect=0.1,
            baseline="batch_norm_scale_1",
            metric=value("log10_gradient_left"),
            better="higher",
        ),
    ],
    arms={
        "lstm": arm("none", sequential=0.0258, permuted=0.0258),
        "lstm_longer": arm(
            "none", sequential=0.0258, permuted=0.0258, updates_per_epoch=33
        ),
        "batch_norm": arm(
            "batch", sequential=0.0258, permuted=0.00832, initial_gamma=0.1
        ),
        "batch_norm_scale_1": arm(
            "batch", sequential=0.00225, permuted=0.00225, initial_gamma=1.0
        ),
        "layer_norm": arm("layer", sequential=0.00832, permuted=0.00832),
    },
    data={"sequential": digits(), "permuted": permuted},
    takes="sequence",
    target="classes",
    build=build,
    evaluate=evaluate,
    epochs=40,
    steps_per_epoch=lambda hp: hp.Int("updates_per_epoch", 12, 33),
    batch_size=50,
)

if __name__ == "__main__":
    recipe.main()
