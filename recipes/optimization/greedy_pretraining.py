"""Greedy pretraining: does it make a deep net of sigmoid units learn?

Bengio, Lamblin, Popovici and Larochelle, 2007 (Greedy layer-wise training of
deep networks, NIPS 19) train the hidden layers of a net one by one, each under
a temporary output layer, before all of them together. Supervised so, deep nets
of sigmoid units reach lower errors than from random weights. Here: five hidden
layers of 100 units on 1,000 images of digits, 800 updates for each arm at its
own best learning rate: five stages of 60 and 500 for the whole net where it is
pretrained. It is a remedy of its time, so there are arms with rectified units
and batch normalization, too.
"""

import keras

from keras_regimen.custom_models import pretrain_greedily
from keras_regimen.recipes.harness import Arm, Claim, Recipe, digits, final

LAYERS, UPDATES = 5, 20
EPOCHS, STAGE_EPOCHS = 40, 3


def build(hp, data):
    unit = hp.Choice("unit", ["sigmoid", "relu_batch_norm"])
    learning_rate = hp.Float(
        "learning_rate", 0.03, 3.0, sampling="log", default=0.3
    )
    inputs = x = keras.Input(data.input_shape)
    for _ in range(LAYERS):
        x = keras.layers.Dense(100)(x)
        if unit == "relu_batch_norm":
            x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.Activation(unit.partition("_")[0])(x)
    outputs = keras.layers.Dense(data.num_classes, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate),
        loss="sparse_categorical_crossentropy",
    )
    return model


def train(hp, model, data, fit):
    epochs = EPOCHS
    if hp.Boolean("pretrain"):
        pretrained = pretrain_greedily(
            model, *data.train, fit=fit, epochs=STAGE_EPOCHS, phase="stage"
        )
        rate = float(model.optimizer.learning_rate)
        pretrained.compile(keras.optimizers.SGD(rate), model.loss)
        model = pretrained
        epochs -= LAYERS * STAGE_EPOCHS
    fit(model, epochs=epochs, phase="whole net")
    return model


def claim(statement, treatment, baseline, smallest_effect):
    return Claim(
        statement,
        source="Bengio et al., 2007, section 4",
        treatment=treatment,
        baseline=baseline,
        metric=final("test_error"),
        better="lower",
        smallest_effect=smallest_effect,
    )


recipe = Recipe(
    claims=[
        claim(
            "Greedy supervised pretraining lowers the test error of a deep "
            "net of sigmoid units.",
            "sigmoid_pretrained",
            "sigmoid",
            0.1,
        ),
        claim(
            "It lowers the test error with rectified units and batch "
            "normalization, too.",
            "relu_batch_norm_pretrained",
            "relu_batch_norm",
            0.005,
        ),
        claim(
            "Rectified units and batch normalization without pretraining end "
            "with a lower test error than pretrained sigmoid units (a "
            "control).",
            "relu_batch_norm",
            "sigmoid_pretrained",
            0.01,
        ),
    ],
    arms={
        "sigmoid": Arm(
            {"unit": "sigmoid", "pretrain": False},
            tuned={"learning_rate": 0.0557},
        ),
        "sigmoid_pretrained": Arm(
            {"unit": "sigmoid", "pretrain": True},
            tuned={"learning_rate": 2.45},
        ),
        "relu_batch_norm": Arm(
            {"unit": "relu_batch_norm", "pretrain": False},
            tuned={"learning_rate": 2.45},
        ),
        "relu_batch_norm_pretrained": Arm(
            {"unit": "relu_batch_norm", "pretrain": True},
            tuned={"learning_rate": 2.45},
        ),
    },
    data=digits(),
    takes="vector",
    target="classes",
    build=build,
    train=train,
    epochs=EPOCHS,
    steps_per_epoch=UPDATES,
    batch_size=50,
)

if __name__ == "__main__":
    recipe.main()
