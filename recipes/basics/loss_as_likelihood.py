"""Loss as likelihood: what do the squared error and L2 assume of the data?

The weights with the least mean squared error are the most likely ones if the
noise is Gaussian, and the mean squared residual is its most likely variance.
With a Gaussian prior of variance t^2 on the weights, and noise of variance
s^2, the most probable weights are those of ridge regression with the penalty
s^2 / t^2 (Bishop, Pattern Recognition and Machine Learning, 2006, sections
3.1.1 and 3.3.1). Keras adds its L2 to the mean of the losses, not to their
sum: the same penalty is the strength s^2 / (n t^2) there. Here: 250 rows of
the diabetes data, with the variances that they make most likely. Nets with
a loss of Keras in float32, and densities written out in float64, are fitted
by Newton's method and held against the closed forms of scikit-learn.
"""

import math

import keras
import numpy as np
from keras import ops
from sklearn.linear_model import BayesianRidge, LinearRegression, Ridge

from keras_regimen.custom_models import FullBatchModel
from keras_regimen.custom_optimizers import Newton, hessian_vector_product
from keras_regimen.recipes.harness import Arm, Exact, Recipe, diabetes, value

METHODS = ("mse", "likelihood", "l2", "posterior", "l2_of_the_sum")


def rows(seed):
    """Returns inputs, and targets of mean 1, so that the bias has to act."""
    x, y = (array.astype("float64") for array in diabetes()(seed).train)
    return x, y - y.mean() + 1


def net(x, y, strength):
    """Returns a linear net that Newton's step took to the least loss."""
    penalty = keras.regularizers.L2(strength)
    layer = keras.layers.Dense(1, kernel_regularizer=penalty)
    model = FullBatchModel(keras.Sequential([keras.Input(x.shape[1:]), layer]))
    model.compile(Newton(), loss="mse")
    model.fit(x, y, verbose=0)
    return model


def log_density(values, variance):
    """Returns the logarithm of the normal density of independent values."""
    size = math.prod(values.shape)
    squares = ops.sum(ops.square(values)) / variance
    return -0.5 * (size * ops.log(2 * math.pi * variance) + squares)


def most_probable(x, y, noise=None, prior=None):
    """Returns kernel, bias and variance of the noise.

    Without `noise`, its variance is fitted as well; without `prior`, all
    weights are as probable.
    """
    kernel = keras.Variable(np.zeros((x.shape[1], 1)), dtype="float64")
    bias = keras.Variable(0.0, dtype="float64")
    log_noise = keras.Variable(math.log(noise or 1.0), dtype="float64")

    def loss():
        residuals = y - ops.matmul(x, kernel) - bias
        density = log_density(residuals, ops.exp(log_noise))
        if prior:
            density += log_density(kernel, ops.cast(prior, "float64"))
        return -density

    variables = [kernel, bias] if noise else [kernel, bias, log_noise]
    Newton().minimize(loss, variables, tolerance=1e-8)
    return [ops.convert_to_numpy(v) for v in (kernel, bias, ops.exp(log_noise))]


def covariance(model, x, y, noise):
    """Returns the inverse curvature of a net's loss, as a covariance.

    -log p is the loss times n / (2 s^2), up to a constant.
    """
    kernel = model.trainable_variables[0]
    hessian = [
        ops.convert_to_numpy(
            hessian_vector_product(
                lambda: model.compute_loss(x, y, model(x)),
                [kernel],
                [direction[:, None]],
            )[0]
        )[:, 0]
        for direction in np.eye(x.shape[1])
    ]
    return np.linalg.inv(np.array(hessian) * len(x) / (2 * noise))


def gap(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def measure(hp, seed):
    method = hp.Choice("method", list(METHODS))
    x, y = rows(seed)
    bayes = BayesianRidge(max_iter=1000, tol=1e-10).fit(x, y[:, 0])
    noise, prior = 1 / bayes.alpha_, 1 / bayes.lambda_
    figures = {}
    if method in ("likelihood", "posterior"):
        known = (noise, prior) if method == "posterior" else ()
        kernel, bias, variance = most_probable(x, y, *known)
        residuals = y - x @ kernel - bias
        figures["gap_of_variance"] = abs(variance / np.mean(residuals**2) - 1)
    else:
        strength = {
            "mse": 0.0,
            "l2": noise / (len(x) * prior),
            "l2_of_the_sum": noise / prior,
        }[method]
        model = net(x, y, strength)
        kernel, bias = model.get_weights()
        if method == "l2":
            found = covariance(model, x, y, noise)
            figures["gap_of_covariance"] = gap(found, bayes.sigma_)
    found = np.append(kernel, bias)
    for name, closed_form in {
        "least_squares": LinearRegression(),
        "ridge": Ridge(alpha=noise / prior),
        "ridge_with_n": Ridge(alpha=len(x) * noise / prior),
        "posterior_mean": bayes,
    }.items():
        if closed_form is not bayes:
            closed_form.fit(x, y[:, 0])
        expected = np.append(closed_form.coef_, closed_form.intercept_)
        figures[f"gap_to_{name}"] = gap(found, expected)
    figures["digits_of_ridge"] = -math.log10(figures["gap_to_ridge"])
    return figures


CLAIMS = (
    (
        "The least mean squared error is scikit-learn's least squares.",
        ("3.1.1", "gap_to_least_squares", "mse", 1e-3),
    ),
    (
        "The weights of the greatest Gaussian likelihood are the same.",
        ("3.1.1", "gap_to_least_squares", "likelihood", 1e-8),
    ),
    (
        "The most likely variance of the noise is the mean squared residual.",
        ("3.1.1", "gap_of_variance", "likelihood", 1e-8),
    ),
    (
        "Keras' L2 of strength s^2 / (n t^2) is ridge with s^2 / t^2.",
        ("3.3.1", "gap_to_ridge", "l2", 1e-3),
    ),
    (
        "The most probable weights under a Gaussian prior are the same.",
        ("3.3.1", "gap_to_ridge", "posterior", 1e-8),
    ),
    (
        "They are the mean of the posterior.",
        ("3.3.1", "gap_to_posterior_mean", "posterior", 1e-8),
    ),
    (
        "The curvature of the net's loss gives the posterior's covariance.",
        ("3.3.1", "gap_of_covariance", "l2", 1e-3),
    ),
    (
        "Keras' L2 of strength s^2 / t^2 agrees with ridge of s^2 / t^2 to no "
        "more than a digit (a control).",
        ("3.3.1", "digits_of_ridge", "l2_of_the_sum", 1.0),
    ),
    (
        "It is ridge with n s^2 / t^2 (a control).",
        ("3.3.1", "gap_to_ridge_with_n", "l2_of_the_sum", 1e-3),
    ),
)

recipe = Recipe(
    claims=[
        Exact(
            statement,
            source=f"Bishop, 2006, section {section}",
            metric=value(metric),
            arm=arm,
            at_most=at_most,
        )
        for statement, (section, metric, arm, at_most) in CLAIMS
    ],
    arms={method: Arm({"method": method}) for method in METHODS},
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
