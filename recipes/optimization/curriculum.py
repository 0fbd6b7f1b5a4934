"""Curriculum learning: does it help to start with the easy samples?

Bengio, Louradour, Collobert and Weston, 2009
(https://doi.org/10.1145/1553374.1553380) teach a net of three hidden layers to
tell ellipses, rectangles and triangles apart. Trained on circles, squares and
equilateral triangles for the first half of its epochs, it ends with a lower
error on the general shapes. Here: 1,000 images of each set, of 16 x 16 pixels,
and 48 epochs of 20 updates for each arm, at its own best learning rate. The
share of the data grows from one half to all after 24 of them; an arm that
starts with a random half and one that starts with the general shapes tell what
the order adds. Validation and test data are general shapes.
"""

from functools import partial

import keras
import numpy as np

from keras_regimen.custom_models import CurriculumDataset
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Recipe,
    Splits,
    at_best_epoch,
)

SIDE = 16
EPOCHS, SWITCH, BATCH = 48, 24, 100


def shapes(rng, rows, general):
    """Returns images of ellipses (0), rectangles (1) and triangles (2).

    Place, size, angle and brightness vary always, what makes a circle,
    square or equilateral triangle longer than wide only if `general`.
    """
    kinds = rng.integers(0, 3, rows)
    columns = (rows, 1, 1)
    place = rng.uniform(0.44, 0.56, (2, *columns))
    size = rng.uniform(0.2, 0.3, columns)
    longer = np.exp(rng.uniform(0.0, 0.8, columns) * general)
    angle = rng.uniform(0.0, 2 * np.pi, columns)
    pixels = (np.arange(SIDE) + 0.5) / SIDE
    down, right = np.meshgrid(pixels, pixels, indexing="ij")
    down, right = (down - place[0]) / size, (right - place[1]) / size
    along = (np.cos(angle) * down + np.sin(angle) * right) / longer
    across = (np.cos(angle) * right - np.sin(angle) * down) * longer
    # How far out a pixel lies, 1 on the edge, for three shapes of one area.
    corners = np.array([0.0, 2 * np.pi / 3, 4 * np.pi / 3])[:, None, None, None]
    distances = np.stack(
        [
            np.sqrt(along**2 + across**2),
            np.maximum(np.abs(along), np.abs(across)) / 0.886,
            (np.cos(corners) * along + np.sin(corners) * across).max(0) / 0.778,
        ]
    )
    outside = distances[kinds, np.arange(rows)] - 1
    # Edges are soft, as those of a photograph are.
    inside = 1 / (1 + np.exp(outside * size * 4 * SIDE))
    images = rng.uniform(0.5, 1.0, columns) * inside
    return images[..., None].astype("float32"), kinds.astype("int32")


def both_sets(seed, rows=1000):
    """Returns easy training rows first, then as many general ones."""
    rng = np.random.default_rng([seed, 2009])
    easy, general = shapes(rng, rows, False), shapes(rng, rows, True)
    return Splits(
        tuple(map(np.concatenate, zip(easy, general, strict=True))),
        shapes(rng, 500, True),
        shapes(rng, 2000, True),
    )


def build(hp, data):
    learning_rate = hp.Float(
        "learning_rate", 3e-4, 3e-2, sampling="log", default=3e-3
    )
    model = keras.Sequential([keras.Input(data.input_shape)])
    for _ in range(3):
        model.add(keras.layers.Dense(64, activation="relu"))
    model.add(keras.layers.Dense(data.num_classes, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
    )
    return model


def train(hp, model, data, fit):
    first = hp.Choice("first", ["easy", "general", "random"])
    until = hp.Int("until", 0, EPOCHS)
    # The cell's seed decides both, the same for each arm.
    rng = np.random.default_rng(np.random.randint(2**31, size=2))
    x, y = data.train
    general = np.arange(len(x)) >= len(x) // 2
    scores = {
        "easy": general,
        "general": ~general,
        "random": rng.permutation(general),
    }
    dataset = CurriculumDataset(
        x,
        y,
        scores[first],
        pacing=lambda epoch: 0.5 if epoch < until else 1.0,
        batch_size=BATCH,
        seed=int(rng.integers(2**31)),
    )
    # One epoch a call, because epochs are compiled for arrays alone.
    for epoch in range(EPOCHS):
        dataset.epoch = epoch
        rows = dataset.rows
        phase = "half" if epoch < until else "all"
        fit(model, x[rows], y[rows], epochs=1, shuffle=False, phase=phase)
    return model


def claim(statement, baseline):
    return Claim(
        f"Easy samples first lower the test error, against {statement}.",
        source="Bengio et al., 2009, section 5",
        treatment="curriculum",
        baseline=baseline,
        metric=at_best_epoch("test_error", monitor="val_error"),
        better="lower",
        smallest_effect=0.01,
    )


recipe = Recipe(
    claims=[
        claim("all of them from the start", "mixed"),
        claim("the general ones alone", "general_only"),
        claim("a random half first (a control)", "random_first"),
        claim("the general ones first (a control)", "general_first"),
    ],
    arms={
        "mixed": Arm(
            {"first": "easy", "until": 0}, tuned={"learning_rate": 0.00528}
        ),
        "curriculum": Arm(
            {"first": "easy", "until": SWITCH}, tuned={"learning_rate": 0.00089}
        ),
        "general_first": Arm(
            {"first": "general", "until": SWITCH},
            tuned={"learning_rate": 0.00528},
        ),
        "random_first": Arm(
            {"first": "random", "until": SWITCH},
            tuned={"learning_rate": 0.00528},
        ),
        "general_only": Arm(
            {"first": "general", "until": EPOCHS},
            tuned={"learning_rate": 0.00528},
        ),
    },
    data=both_sets,
    takes="vector",
    target="classes",
    build=build,
    train=train,
    epochs=EPOCHS,
    batch_size=BATCH,
    scales={"smoke": {"data": partial(both_sets, rows=500)}},
)

if __name__ == "__main__":
    recipe.main()
