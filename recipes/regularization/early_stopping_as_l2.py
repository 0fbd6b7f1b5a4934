"""Early stopping: is it ridge regression, where the net is linear?

Goodfellow, Bengio and Courville, 2016 (Deep Learning, section 7.8): near a
minimum, gradient descent from the origin that stops after tau updates at the
rate eps leaves weights like those of a penalty alpha / 2 |w|^2 with alpha =
1 / (tau eps), as long as no curvature lambda has tau eps lambda much above 1.
Here: a linear net on 250 rows of the diabetes data, the whole path of full
batches from the first update on, held against the closed form of ridge
regression: in direction, in the penalty that comes nearest, and in the lowest
test error on the path.
"""

import keras
import numpy as np

from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.harness import Arm, Exact, Recipe, diabetes, value

# Stretches of tau * eps: points on the path, and the distance between them.
STRETCHES = ((20, 0.1), (40, 2.0))
PENALTIES = np.geomspace(1e-4, 1e3, 4000)


def descent_path(x, y, learning_rate):
    """Returns tau * eps and the weights of a linear net as it trains."""
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
        ]
    )
    model.compile(keras.optimizers.SGD(learning_rate), loss="mse")
    weights, times = [], []
    for points, distance in STRETCHES:
        steps = round(distance / learning_rate)
        start = times[-1] if times else 0.0
        times += [start + (i + 1) * distance for i in range(points)]
        fit_in_memory(
            model,
            x,
            y,
            batch_size=len(x),
            epochs=points,
            steps_per_epoch=steps,
            shuffle=np.random.default_rng(0),
            verbose=0,
            callbacks=[
                keras.callbacks.LambdaCallback(
                    on_epoch_end=lambda epoch, logs: weights.append(
                        model.get_weights()[0][:, 0].astype("float64")
                    )
                )
            ],
        )
    return np.array(times), np.array(weights)


def curvature(x, y):
    """Returns the Hessian of the loss, and minus its gradient at the origin."""
    return 2 * x.T @ x / len(x), 2 * x.T @ y[:, 0] / len(x)


def ridge_path(x, y, penalties):
    hessian, slope = curvature(x, y)
    eigenvalues, basis = np.linalg.eigh(hessian)
    return (basis.T @ slope / (eigenvalues + penalties[:, None])) @ basis.T


def lengths(vectors):
    return np.linalg.norm(vectors, axis=-1)


def measure(hp, seed):
    learning_rate = hp.Float("learning_rate", 1e-3, 0.2)
    splits = diabetes()(seed)
    times, descended = descent_path(*splits.train, learning_rate)
    x, y = (array.astype("float64") for array in splits.train)
    paired = ridge_path(x, y, 1 / times)
    cosines = np.sum(descended * paired, axis=1) / (
        lengths(descended) * lengths(paired)
    )

    all_of_them = ridge_path(x, y, PENALTIES)
    nearest = [lengths(all_of_them - w).argmin() for w in descended]
    octaves = np.abs(np.log2(PENALTIES[nearest] * times))
    early = times * np.linalg.eigvalsh(curvature(x, y)[0])[-1] <= 1

    x, y = splits.test
    lowest = [
        np.sqrt(np.mean((path @ x.T - y[:, 0]) ** 2, axis=1)).min()
        for path in (descended, all_of_them)
    ]
    return {
        "cosine_gap": 1 - cosines.min(),
        "octaves_early": octaves[early].max(),
        "octaves": octaves.max(),
        "error_gap": abs(lowest[0] - lowest[1]),
    }


RATES = (0.01, 0.1)


def claims(statement, metric, at_most):
    return [
        Exact(
            f"{statement}, at the rate {rate}.",
            source="Goodfellow et al., 2016, section 7.8",
            metric=value(metric),
            arm=f"rate_{rate}",
            at_most=at_most,
        )
        for rate in RATES
    ]


recipe = Recipe(
    claims=[
        *claims(
            "Stopped weights have the direction of ridge regression's with "
            "1 / (tau eps): 1 - cosine",
            "cosine_gap",
            0.01,
        ),
        *claims(
            "While tau eps lambda is at most 1, the nearest penalty is within "
            "an octave of 1 / (tau eps)",
            "octaves_early",
            1.0,
        ),
        *claims(
            "On the whole path the nearest penalty is within an octave of "
            "1 / (tau eps)",
            "octaves",
            1.0,
        ),
        *claims(
            "The best stop has the test error of the best penalty: rmse",
            "error_gap",
            0.01,
        ),
    ],
    arms={f"rate_{rate}": Arm({"learning_rate": rate}) for rate in RATES},
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
