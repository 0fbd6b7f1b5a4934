"""Over- and underfitting: do the curves alone tell which it is?

Goodfellow, Bengio and Courville (Deep Learning, 2016, sections 5.2 and 11.3)
read from the training and the validation loss whether a net has too little
capacity or too much; Arpit et al., 2017 (https://arxiv.org/abs/1706.05394) add
that a net learns wrong labels last, at the expense of what it knew. Here: an
LSTM reads the eight rows of an image of digits one by one. One of 48 units has
1,000 images. Each other arm differs in one thing, a single unit, 60 images,
labels of which 40 % are wrong, or a rate at which nothing holds, and
`FitDiagnosis`, with all its bounds at their defaults, is to name it.
"""

import keras
import numpy as np

from keras_regimen.callbacks import FitDiagnosis
from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Exact,
    Recipe,
    digits,
    value,
)

EPOCHS, UPDATES, BATCH_SIZE = 30, 20, 50
DIFFERENCES: dict[str, dict[str, float]] = {
    "good_fit": {},
    "underfitting": {"units": 1},
    "overfitting": {"rows": 60},
    "label_noise": {"label_noise": 0.4},
    "divergence": {"learning_rate": 10.0},
}


def lstm(units, learning_rate):
    net = keras.Sequential(
        [
            keras.Input((8, 8)),
            keras.layers.LSTM(units),
            keras.layers.Dense(10),
        ]
    )
    net.compile(
        keras.optimizers.Adam(learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return net


def measure(hp, seed):
    word = hp.Choice("word", list(DIFFERENCES))
    units = hp.Int("units", 1, 256)
    rows = hp.Int("rows", 10, 1000)
    label_noise = hp.Float("label_noise", 0.0, 0.9)
    learning_rate = hp.Float("learning_rate", 1e-4, 100.0, sampling="log")
    splits = digits(train_size=rows, label_noise=label_noise)(seed)
    (x, y), (val_x, val_y), (test_x, test_y) = (
        (np.reshape(x, (-1, 8, 8)), np.ravel(y))
        for x, y in (splits.train, splits.validation, splits.test)
    )
    keras.utils.set_random_seed(seed)
    net = lstm(units, learning_rate)
    doctor = FitDiagnosis(reference=np.log(10), verbose=0)
    fit_in_memory(
        net,
        x,
        y,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        steps_per_epoch=UPDATES,
        shuffle=np.random.default_rng(seed),
        validation_data=(val_x, val_y),
        callbacks=[doctor],
        verbose=0,
    )
    found = doctor.diagnosis
    logits = net.predict_on_batch(test_x)
    return {
        "misnamed": int(found.word.replace(" ", "_") != word),
        "test_error": np.mean(np.argmax(logits, axis=1) != test_y),
        **{
            name: found.figures[name]
            for name in ("learned", "gap", "turn", "climb", "error_rise")
        },
    }


BOOK = "Goodfellow, Bengio and Courville, 2016"


def named(statement, source, word):
    return Exact(statement, source, value("misnamed"), word, at_most=0)


def worse(statement, arm):
    return Claim(
        statement,
        source=f"{BOOK}, section 5.2",
        treatment="good_fit",
        baseline=arm,
        metric=value("test_error"),
        better="lower",
        smallest_effect=0.05,
    )


recipe = Recipe(
    claims=[
        named("A good fit is named.", f"{BOOK}, section 5.2", "good_fit"),
        named("Underfitting is.", f"{BOOK}, section 5.2", "underfitting"),
        named("Overfitting is.", f"{BOOK}, section 5.2", "overfitting"),
        named(
            "Wrong labels are suspected where labels are wrong.",
            "Arpit et al., 2017, section 3",
            "label_noise",
        ),
        named("Divergence is named.", f"{BOOK}, section 11.4", "divergence"),
        worse("Who has the capacity errs less.", "underfitting"),
        worse("So does who has the data.", "overfitting"),
        worse("And the right labels.", "label_noise"),
    ],
    arms={
        word: Arm(
            {
                "word": word,
                "units": 48,
                "rows": 1000,
                "label_noise": 0.0,
                "learning_rate": 0.01,
                **difference,
            }
        )
        for word, difference in DIFFERENCES.items()
    },
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
