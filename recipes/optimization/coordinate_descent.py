"""Coordinate descent: one weight at a time, how far does that get?

Friedman, Hastie and Tibshirani, 2010 (Journal of Statistical Software 33(1))
find the lasso for a whole path of penalties by setting one weight after the
other to its own best value, each solution being the next one's start. Where
two weights must move together the method crawls: Goodfellow, Bengio and
Courville, 2016, section 8.7.2, name (x1 - x2)^2 + alpha (x1^2 + x2^2). Here:
20 penalties on 250 rows of the diabetes data, in float64, until a pass over
the weights moves none of them by more than 1e-9; as a control, proximal
gradient steps, each at the cost of a pass; and that valley, for alpha from 0.1
to 0.001, as it lies and turned into the axes. Seeds draw rows and starts.
"""

import numpy as np
from keras import ops
from sklearn.linear_model import Lasso

from keras_regimen.custom_optimizers.autodiff import compiled, times
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Exact,
    Recipe,
    diabetes,
    value,
)

TOLERANCE = 1e-9
ALPHAS = (1e-1, 1e-2, 1e-3)


def soft_threshold(x, strength):
    return ops.sign(x) * ops.relu(ops.abs(x) - strength)


def coordinate_pass(weights, hessian, slope, strength):
    """Returns the weights after each was set to its best, in their order."""
    for j, unit in enumerate(np.eye(weights.shape[0])):
        curvature = hessian[j, j]
        rest = slope[j] - ops.sum(hessian[j] * weights)
        best = soft_threshold(rest + curvature * weights[j], strength)
        weights = ops.where(unit == 1, best / curvature, weights)
    return weights


def proximal_pass(weights, hessian, slope, strength):
    """Returns the weights after a gradient step and a soft threshold."""
    steepest = ops.linalg.eigh(hessian)[0][-1]
    moved = weights - (times(hessian, weights) - slope) / steepest
    return soft_threshold(moved, strength / steepest)


def solver(one_pass):
    """Returns a compiled function that passes until no weight moves."""

    def solve(weights, hessian, slope, strength, tolerance):
        def go_on(weights, moved, passes):
            return moved > tolerance

        def body(weights, moved, passes):
            new = one_pass(weights, hessian, slope, strength)
            return new, ops.max(ops.abs(new - weights)), passes + 1

        start = (weights, tolerance + 1, ops.zeros((), "int32"))
        weights, _, passes = ops.while_loop(go_on, body, start)
        return weights, passes

    solve = compiled(solve)

    def solved(*arguments):
        tensors = [ops.convert_to_tensor(a, "float64") for a in arguments]
        weights, passes = solve(*tensors)
        return ops.convert_to_numpy(weights), int(passes)

    return solved


SOLVERS = {
    "coordinate": solver(coordinate_pass),
    "proximal": solver(proximal_pass),
}


def path(solve, x, y, warm):
    """Returns all passes of a path, and the largest gap to scikit-learn."""
    hessian, slope = x.T @ x / len(x), x.T @ y / len(x)
    weights, passes, gap = np.zeros(x.shape[1]), 0, 0.0
    for strength in np.abs(slope).max() * np.geomspace(1, 0.01, 21)[1:]:
        start = weights if warm else np.zeros_like(weights)
        weights, more = solve(start, hessian, slope, strength, TOLERANCE)
        passes += more
        lasso = Lasso(strength, fit_intercept=False, tol=1e-14, max_iter=10**6)
        gap = max(gap, np.abs(weights - lasso.fit(x, y).coef_).max())
    return passes, gap


def passes_in_valley(solve, start, alpha, turned=False):
    """Returns how many passes it takes to the minimum, which is at 0."""
    hessian = 2 * np.array([[1 + alpha, -1], [-1, 1 + alpha]])
    if turned:
        hessian = np.diag([2 * alpha, 4 + 2 * alpha])
    # The smaller alpha, the less does a pass as near to the minimum move.
    return solve(start, hessian, np.zeros(2), 0.0, alpha * 1e-6)[1]


def measure(hp, seed):
    solve = SOLVERS[hp.Choice("method", list(SOLVERS))]
    warm = hp.Boolean("warm")
    x, y = (array.astype("float64") for array in diabetes()(seed).train)
    passes, gap = path(solve, x - x.mean(axis=0), y[:, 0] - y.mean(), warm)
    start = np.random.default_rng(seed).normal(size=2)
    coupled = [passes_in_valley(solve, start, alpha) for alpha in ALPHAS]
    growth = np.polyfit(-np.log(ALPHAS), np.log(coupled), 1)[0]
    return {
        "gap_to_lasso": gap,
        "log2_passes": np.log2(passes),
        "gap_of_growth": abs(growth - 1),
        "passes_in_coupled_valley": coupled[-1],
        "passes_in_turned_valley": passes_in_valley(
            solve, start, ALPHAS[-1], turned=True
        ),
    }


PAPER = "Friedman, Hastie and Tibshirani, 2010"
BOOK = "Goodfellow, Bengio and Courville, 2016, section 8.7.2"


def fewer_passes(statement, section, baseline, smallest_effect):
    return Claim(
        statement,
        source=f"{PAPER}, {section}",
        treatment="coordinate_descent",
        baseline=baseline,
        metric=value("log2_passes"),
        better="lower",
        smallest_effect=smallest_effect,
    )


recipe = Recipe(
    claims=[
        Exact(
            "Coordinate descent finds the lasso of scikit-learn.",
            source=PAPER,
            metric=value("gap_to_lasso"),
            arm="coordinate_descent",
            at_most=1e-6,
        ),
        fewer_passes(
            "It needs at most half the passes of proximal gradient steps.",
            "section 5",
            "proximal_gradient",
            smallest_effect=1.0,
        ),
        fewer_passes(
            "A path from solution to solution saves passes.",
            "section 2.5",
            "cold_starts",
            smallest_effect=0.1,
        ),
        Exact(
            "Where two weights are coupled, passes grow like 1 / alpha.",
            source=BOOK,
            metric=value("gap_of_growth"),
            arm="coordinate_descent",
            at_most=0.05,
        ),
        Exact(
            "Turned into the axes, the valley takes one pass, and one that "
            "finds nothing to do (a control).",
            source=BOOK,
            metric=value("passes_in_turned_valley"),
            arm="coordinate_descent",
            at_most=2,
        ),
    ],
    arms={
        "coordinate_descent": Arm({"method": "coordinate", "warm": True}),
        "cold_starts": Arm({"method": "coordinate", "warm": False}),
        "proximal_gradient": Arm({"method": "proximal", "warm": True}),
    },
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
