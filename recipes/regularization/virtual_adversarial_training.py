"""Virtual adversarial training: do inputs without labels help a net?

Miyato et al., 2017 (https://arxiv.org/abs/1704.03976) smooth a net's
predictions around each input, in the direction where they change the most,
which no label is needed for. They report lower errors than a plain net with
100 labels on MNIST and with 1,000 on SVHN and CIFAR-10, and with all labels,
too; random directions, their control, help less. Here: two hidden layers of
256 units on 1,000 images of digits, of which 50, 100 or all have a label, as
many of each class where there are few. The perturbation has the length 0.6,
and the random one twice that, too, since few random directions matter; the
first is what a few tries on validation rows of other seeds chose. An update
takes three gradients, and `plain_longer` has three times the updates.
"""

import keras
import numpy as np

from keras_regimen.custom_models import VirtualAdversarialModel
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Recipe,
    Splits,
    digits,
    final,
)


def few_labels(seed, labels):
    """Returns digits with as many labels of each class; all serve as inputs."""
    splits = digits()(seed)
    x, y = splits.train
    kept = [np.flatnonzero(y == k)[: labels // 10] for k in range(10)]
    rows = np.sort(np.concatenate(kept))
    return Splits((x[rows], y[rows]), splits.validation, splits.test, x)


def labels_50(seed):
    return few_labels(seed, 50)


def labels_100(seed):
    return few_labels(seed, 100)


def all_labels(seed):
    splits = digits()(seed)
    x, _ = splits.train
    return Splits(splits.train, splits.validation, splits.test, x)


class InEpochs(VirtualAdversarialModel):
    """Sets of one size need no `fit` of their own, and epochs are compiled."""

    fit = keras.Model.fit


def build(hp, data):
    direction = hp.Choice("direction", ["adversarial", "random"])
    epsilon = hp.Choice("epsilon", [0.0, 0.6, 1.2])
    net = keras.Sequential(
        [
            keras.Input(data.input_shape),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(data.num_classes, activation="softmax"),
        ]
    )
    model = InEpochs(net, epsilon, direction=direction)
    model.compile(
        keras.optimizers.Adam(1e-3),
        loss="sparse_categorical_crossentropy",
    )
    return model


def train(hp, model, data, fit):
    x, y = data.train
    # Every arm sees the same labelled batches.
    rows = np.arange(len(data.unlabeled)) % len(x)
    fit(model, {"labeled": x[rows], "unlabeled": data.unlabeled}, y[rows])
    return model


def claim(statement, baseline, on, smallest_effect):
    return Claim(
        statement,
        source="Miyato et al., 2017, section 4",
        treatment="vat",
        baseline=baseline,
        metric=final("test_error"),
        better="lower",
        smallest_effect=smallest_effect,
        on=on,
    )


recipe = Recipe(
    claims=[
        claim(
            "With 50 labels virtual adversarial training lowers the error.",
            "plain",
            "labels_50",
            0.03,
        ),
        claim(
            "With 50 labels it beats random directions (a control).",
            "random",
            "labels_50",
            0.005,
        ),
        claim(
            "With 50 labels it beats random ones twice as large (a control).",
            "random_twice",
            "labels_50",
            0.005,
        ),
        claim(
            "With 50 labels it beats three times the updates, which cost as "
            "much.",
            "plain_longer",
            "labels_50",
            0.03,
        ),
        claim(
            "With 100 labels it lowers the error.", "plain", "labels_100", 0.02
        ),
        claim(
            "With 100 labels it beats random directions (a control).",
            "random",
            "labels_100",
            0.003,
        ),
        claim(
            "With 100 labels it beats random ones twice as large (a control).",
            "random_twice",
            "labels_100",
            0.003,
        ),
        claim(
            "With all labels it lowers the error.", "plain", "all_labels", 0.004
        ),
        claim(
            "With all labels it beats random directions (a control).",
            "random",
            "all_labels",
            0.002,
        ),
        claim(
            "With all labels it beats random ones twice as large (a control).",
            "random_twice",
            "all_labels",
            0.002,
        ),
    ],
    arms={
        "plain": Arm({"epsilon": 0.0}),
        "plain_longer": Arm({"epsilon": 0.0, "times_the_updates": 3}),
        "random": Arm({"epsilon": 0.6, "direction": "random"}),
        "random_twice": Arm({"epsilon": 1.2, "direction": "random"}),
        "vat": Arm({"epsilon": 0.6, "direction": "adversarial"}),
    },
    data={
        "labels_50": labels_50,
        "labels_100": labels_100,
        "all_labels": all_labels,
    },
    takes="vector",
    target="classes",
    build=build,
    train=train,
    epochs=20,
    steps_per_epoch=lambda hp: 40 * hp.Int("times_the_updates", 1, 3),
    batch_size=50,
)

if __name__ == "__main__":
    recipe.main()
