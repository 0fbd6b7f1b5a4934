"""Bagging: do nets on bootstrap samples vote better than nets on all rows?

Breiman, 1996 (https://doi.org/10.1007/BF00058655) trains members on bootstrap
samples and lets them vote, which lowers the error of trees by a fifth to a
half. Nets differ by their random start already: Lee et al., 2015
(https://arxiv.org/abs/1511.06314) find ensembles on all rows the better ones,
as each bag holds 63 % of them. Here: nets of one hidden layer of 64 units on
300 images of digits, one of them or the mean of ten, on bootstrap samples or
on all rows; all four have the learning rate and the updates of the others. The
loss is the mean negative log-likelihood of the test rows.
"""

import keras
import numpy as np

from keras_regimen.custom_models import BaggingEnsemble
from keras_regimen.recipes.harness import Arm, Claim, Recipe, digits, value

EPOCHS, BATCH = 40, 30


def net(seed):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy"
    )
    return model


def measure(hp, seed):
    ensemble = BaggingEnsemble(
        net,
        num_members=hp.Int("members", 1, 10),
        bootstrap=hp.Boolean("bootstrap"),
        seed=seed,
    )
    splits = digits(train_size=300)(seed).to("vector", "classes")
    ensemble.fit(*splits.train, epochs=EPOCHS, batch_size=BATCH)
    x, y = splits.test
    probabilities = ensemble.predict(x)
    right = np.arange(len(y)), y
    return {
        "test_error": np.mean(probabilities.argmax(axis=1) != y),
        "test_loss": -np.mean(np.log(probabilities[right] + 1e-7)),
    }


def claim(statement, treatment, baseline, metric, smallest_effect, source):
    return Claim(
        statement,
        source=source,
        treatment=treatment,
        baseline=baseline,
        metric=value(metric),
        better="lower",
        smallest_effect=smallest_effect,
    )


BREIMAN, LEE = "Breiman, 1996", "Lee et al., 2015, section 3"

recipe = Recipe(
    claims=[
        claim(
            "Ten nets on bootstrap samples have a lower test error than one "
            "of them.",
            "bag",
            "member",
            "test_error",
            0.005,
            BREIMAN,
        ),
        claim(
            "Ten nets on bootstrap samples have a lower test loss than one "
            "of them.",
            "bag",
            "member",
            "test_loss",
            0.01,
            BREIMAN,
        ),
        claim(
            "Ten nets on bootstrap samples have a lower test error than one "
            "net on all rows.",
            "bag",
            "single",
            "test_error",
            0.005,
            BREIMAN,
        ),
        claim(
            "Ten nets on bootstrap samples have a lower test loss than one "
            "net on all rows.",
            "bag",
            "single",
            "test_loss",
            0.01,
            BREIMAN,
        ),
        claim(
            "Ten nets on all rows have a lower test loss than ten on "
            "bootstrap samples, at equal cost.",
            "ensemble",
            "bag",
            "test_loss",
            0.005,
            LEE,
        ),
        claim(
            "Ten nets on all rows have a lower test error than ten on "
            "bootstrap samples, at equal cost.",
            "ensemble",
            "bag",
            "test_error",
            0.002,
            LEE,
        ),
        claim(
            "One net on all rows has a lower test error than one on a "
            "bootstrap sample (a control).",
            "single",
            "member",
            "test_error",
            0.005,
            LEE,
        ),
    ],
    arms={
        "single": Arm({"members": 1, "bootstrap": False}),
        "member": Arm({"members": 1, "bootstrap": True}),
        "bag": Arm({"members": 10, "bootstrap": True}),
        "ensemble": Arm({"members": 10, "bootstrap": False}),
    },
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
