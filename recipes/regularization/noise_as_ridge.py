"""Input noise: is it ridge regression, where the net is linear?

Bishop, 1995 (Neural Computation 7, pages 108-116): training with small noise
on the inputs amounts to a Tikhonov penalty. For a linear net and the squared
error this is exact, whatever the size of the noise: a standard deviation s on
n rows stands for ridge regression with the penalty n s^2. Here: 250 rows of
the diabetes data, 4,000 updates with fresh noise on ten copies of each row,
held against the closed form of ridge regression, and of least squares.
"""

import keras
import numpy as np

from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.harness import Arm, Exact, Recipe, diabetes, value

UPDATES = 4000
COPIES = 10


def trained_with_noise(x, y, stddev, seed):
    """Returns the weights of a linear net that saw noise on its inputs."""
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.GaussianNoise(stddev),
            keras.layers.Dense(1, use_bias=False),
        ]
    )
    # The noise in the weights fades out with the learning rate.
    schedule = keras.optimizers.schedules.CosineDecay(0.01, UPDATES)
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9)
    model.compile(optimizer, loss="mse")
    fit_in_memory(
        model,
        np.tile(x, (COPIES, 1)),
        np.tile(y, (COPIES, 1)),
        batch_size=COPIES * len(x),
        steps_per_epoch=UPDATES,
        shuffle=np.random.default_rng(seed),
        verbose=0,
    )
    return model.get_weights()[0]


def ridge(x, y, penalty):
    return np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)


def measure(hp, seed):
    stddev = hp.Float("stddev", 0.0, 1.0)
    x, y = diabetes()(seed).train
    found = trained_with_noise(x, y, stddev, seed)
    x, y = x.astype("float64"), y.astype("float64")
    return {
        f"gap_to_{name}": np.linalg.norm(found - closed_form)
        / np.linalg.norm(closed_form)
        for name, closed_form in (
            ("ridge", ridge(x, y, len(x) * stddev**2)),
            ("least_squares", ridge(x, y, 0.0)),
        )
    }


def claim(stddev):
    return Exact(
        f"A linear net with noise of deviation {stddev} on its inputs learns "
        "ridge regression.",
        source="Bishop, 1995",
        metric=value("gap_to_ridge"),
        arm=f"noise_{stddev}",
        at_most=0.02,
    )


DEVIATIONS = (0.1, 0.3, 1.0)

recipe = Recipe(
    claims=[claim(stddev) for stddev in DEVIATIONS],
    arms={f"noise_{stddev}": Arm({"stddev": stddev}) for stddev in DEVIATIONS},
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
