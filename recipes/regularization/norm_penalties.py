"""Norm penalties: what do L2 and L1 do to the weights of a linear net?

Where the loss is quadratic, all is known. L2 multiplies the solution's
component along each eigenvector of the Hessian by lambda / (lambda + alpha):
flat directions go, steep ones stay (Hoerl and Kennard, 1970). L1 takes the
same off all weights and sets some to exactly zero (Tibshirani, 1996), but not
by gradients: that takes a proximal step. Biases should have no penalty, since
it would keep the net from the mean of the targets. Here: 10,000 full-batch
updates on 250 rows of the diabetes data, whose targets have mean 1.
"""

import keras
import numpy as np
from sklearn.linear_model import Lasso

from keras_regimen.custom_models import fit_in_memory
from keras_regimen.custom_optimizers.wrappers import ProximalL1
from keras_regimen.custom_regularizers import regularize
from keras_regimen.recipes.harness import Arm, Exact, Recipe, diabetes, value

UPDATES = 10_000
STRENGTH = 0.2  # Of L1, and of L2.
METHODS = ("l2", "l2_on_biases", "l1_proximal", "l1_adam")


def settings(method):
    """Returns the optimizer, the regularizer, and if biases have it too."""
    sgd = keras.optimizers.SGD(0.15)
    fading = keras.optimizers.schedules.CosineDecay(0.01, UPDATES)
    l1 = keras.regularizers.L1(STRENGTH)
    l2 = keras.regularizers.L2(STRENGTH)
    return {
        "l2": (sgd, l2, False),
        "l2_on_biases": (sgd, l2, True),
        "l1_proximal": (ProximalL1(sgd, STRENGTH), None, False),
        "l1_adam": (keras.optimizers.Adam(fading), l1, False),
    }[method]


def trained(method, x, y, seed):
    """Returns kernel and bias of a linear net."""
    optimizer, penalty, biases = settings(method)
    model = keras.Sequential(
        [keras.Input(x.shape[1:]), keras.layers.Dense(1, name="linear")]
    )
    if penalty is not None:
        model = regularize(model, penalty, biases)
    model.compile(optimizer, loss="mse")
    options = {"batch_size": len(x), "steps_per_epoch": UPDATES}
    shuffle = np.random.default_rng(seed)
    fit_in_memory(model, x, y, shuffle=shuffle, verbose=0, **options)
    kernel, bias = model.get_weights()
    return kernel[:, 0], float(bias[0])


def shrunk(x, y, strength):
    """Returns the components of the L2 solution, and their directions."""
    hessian = 2 * x.T @ x / len(x)
    eigenvalues, directions = np.linalg.eigh(hessian)
    solution = np.linalg.solve(hessian, 2 * x.T @ y / len(x))
    factors = eigenvalues / (eigenvalues + 2 * strength)
    return factors * (directions.T @ solution), directions


def measure(hp, seed):
    method = hp.Choice("method", list(METHODS))
    x, y = (a.astype("float64") for a in diabetes()(seed).train)
    y = y[:, 0] - y.mean() + 1
    kernel, bias = trained(
        method, x.astype("float32"), y[:, None].astype("float32"), seed
    )
    components, directions = shrunk(x, y - 1, STRENGTH)
    # Its loss is half of ours.
    lasso = Lasso(alpha=STRENGTH / 2, tol=1e-10, max_iter=100_000).fit(x, y)
    return {
        "gap_to_shrinkage": np.linalg.norm(directions.T @ kernel - components)
        / np.linalg.norm(components),
        "gap_of_bias": abs(bias - 1),
        "gap_of_shrunk_bias": abs(bias - 1 / (1 + STRENGTH)),
        "zeros": (kernel == 0).sum(),
        "zeros_unlike_lasso": ((kernel == 0) != (lasso.coef_ == 0)).sum(),
        "zeros_of_lasso": (lasso.coef_ == 0).sum(),
    }


BOOK = "Goodfellow, Bengio and Courville, 2016, section 7.1"
CLAIMS = (
    (
        "L2 shrinks along the Hessian's eigenvectors, the flat ones most.",
        ("Hoerl and Kennard, 1970", "gap_to_shrinkage", "l2", 1e-3),
    ),
    (
        "L1 with a proximal step has exactly the zeros of the lasso.",
        ("Tibshirani, 1996", "zeros_unlike_lasso", "l1_proximal", 0.0),
    ),
    (
        "L1 under Adam has no exact zero (a control).",
        ("Parikh and Boyd, 2014", "zeros", "l1_adam", 0.0),
    ),
    (
        "A bias without a penalty finds the mean of the targets.",
        (BOOK, "gap_of_bias", "l2", 1e-3),
    ),
    (
        "A bias with a penalty is shrunk (a control).",
        (BOOK, "gap_of_shrunk_bias", "l2_on_biases", 1e-3),
    ),
)

recipe = Recipe(
    claims=[
        Exact(statement, source, value(metric), arm=arm, at_most=at_most)
        for statement, (source, metric, arm, at_most) in CLAIMS
    ],
    arms={method: Arm({"method": method}) for method in METHODS},
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
