"""Gradient checking: does it find what is wrong with a gradient, and no more?

Rumelhart, Hinton and Williams, 1986 (Nature 323, pages 533-536) derive the
gradient of a net by hand, where a sign or a factor is soon lost: such code is
checked against central differences of the loss. Their error falls with the
square of the step h, until rounding, which grows as 1 / h, takes over: about
the cube root of the precision is best (Nocedal and Wright, 2006, section 8.1).
Where a ReLU is at its kink no step is right. Here: a net of 5 inputs, 4 hidden
units and 3 outputs in float64 and float32. A quarter of the rows is 0 and so
are the biases, as they are at the start: with ReLU, these rows are at kinks.
In each seed the gradient of one weight gets the wrong sign, and that of
another a wrong factor; `check_gradients` has to name that weight alone.
"""

from itertools import pairwise

import keras
import numpy as np
from keras import ops

from keras_regimen.custom_optimizers import check_gradients
from keras_regimen.recipes.basics.backpropagation import (
    backward,
    central_differences,
    relative_error,
)
from keras_regimen.recipes.harness import Arm, Exact, Recipe, value

SIZES = (5, 4, 3)
NAMES = ("kernel_0", "bias_0", "kernel_1", "bias_1")
STEPS = 10.0 ** -np.arange(1, 13)
# Wrong factors that are well above what each precision can tell.
FACTORS = {"float64": 1.001, "float32": 1.1}


def task(seed, precision):
    """Returns weights as pairs of kernel and bias, inputs and targets."""
    rng = np.random.default_rng(seed)
    weights = [
        (rng.normal(size=(n, m)) / np.sqrt(n), np.zeros(m))
        for n, m in pairwise(SIZES)
    ]
    x, y = rng.normal(size=(32, SIZES[0])), rng.normal(size=(32, SIZES[-1]))
    x[:8] = 0
    return (
        [(k.astype(precision), b.astype(precision)) for k, b in weights],
        x.astype(precision),
        y.astype(precision),
    )


def in_pairs(arrays):
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def flat(pairs):
    return [array for pair in pairs for array in pair]


def named_wrong(weights, x, y, activation, fault=None):
    """Returns the names of the weights that the check finds wrong.

    `fault` is the place of a weight and what its gradient is multiplied by.
    """
    variables = [
        keras.Variable(array, dtype=array.dtype.name, name=name)
        for array, name in zip(flat(weights), NAMES, strict=True)
    ]

    def loss():
        layer = ops.convert_to_tensor(x)
        for kernel, bias in in_pairs(variables)[:-1]:
            layer = ops.matmul(layer, kernel) + bias
            layer = getattr(ops, activation)(layer)
        kernel, bias = variables[-2:]
        return ops.mean(ops.square(ops.matmul(layer, kernel) + bias - y))

    def gradients():
        arrays = [ops.convert_to_numpy(variable) for variable in variables]
        found = flat(backward(in_pairs(arrays), x, y, activation))
        if fault:
            place, factor = fault
            found[place] = found[place] * np.asarray(factor, x.dtype)
        return found

    options = {"gradients": gradients, "samples": 2}
    return check_gradients(loss, variables=variables, **options).wrong


def sweep(weights, x, y, activation):
    """Returns the relative error of central differences for each step."""
    exact = backward(
        [(k.astype("float64"), b.astype("float64")) for k, b in weights],
        x.astype("float64"),
        y.astype("float64"),
        activation,
    )
    return np.array(
        [
            relative_error(
                central_differences(weights, x, y, activation, step), exact
            )
            for step in STEPS.astype(x.dtype)
        ]
    )


def measure(hp, seed):
    activation = hp.Choice("activation", ["tanh", "relu"])
    precision = hp.Choice("precision", list(FACTORS))
    arguments = (*task(seed, precision), activation)
    places = np.random.default_rng(seed).permutation(len(NAMES))
    faults = zip(places, (-1.0, FACTORS[precision]), strict=False)
    errors = sweep(*arguments)
    best = errors.argmin()
    return {
        "faults_not_named": sum(
            named_wrong(*arguments, fault) != [NAMES[fault[0]]]
            for fault in faults
        ),
        "false_alarms": len(named_wrong(*arguments)),
        "best_error": errors[best],
        "best_digits": -np.log10(errors[best]),
        "decades_from_1e-5": abs(np.log10(STEPS[best]) + 5),
        # Of the error, as the step falls from 0.1 to 0.001.
        "gap_of_order": abs(np.log10(errors[0] / errors[2]) / 2 - 2),
        "best_of_smallest_step": errors[best] / errors[-1],
    }


RUMELHART = "Rumelhart, Hinton and Williams, 1986"
NOCEDAL = "Nocedal and Wright, 2006, section 8.1"


def claim(statement, source, metric, arm=None, at_most=0.0):
    return Exact(statement, source, value(metric), arm=arm, at_most=at_most)


ARMS = {
    f"{activation}_{precision}": {
        "activation": activation,
        "precision": precision,
    }
    for activation in ("tanh", "relu")
    for precision in FACTORS
}

recipe = Recipe(
    claims=[
        *(
            claim(
                "`check_gradients` names each weight with a wrong sign or "
                f"factor, and no other ({arm.replace('_', ', ')}).",
                RUMELHART,
                "faults_not_named",
                arm,
            )
            for arm in ARMS
        ),
        claim(
            "It raises no false alarm, not at the kinks of ReLU either.",
            RUMELHART,
            "false_alarms",
        ),
        claim(
            "In float64, central differences agree to 1e-8.",
            NOCEDAL,
            "best_error",
            "tanh_float64",
            1e-8,
        ),
        claim(
            "The best step is 1e-5, to a decade.",
            NOCEDAL,
            "decades_from_1e-5",
            "tanh_float64",
            1.0,
        ),
        claim(
            "Above, the error falls with the square of the step.",
            NOCEDAL,
            "gap_of_order",
            "tanh_float64",
            0.1,
        ),
        claim(
            "Below, it rises again: at 1e-12 it is 100 times the least.",
            NOCEDAL,
            "best_of_smallest_step",
            "tanh_float64",
            0.01,
        ),
        claim(
            "In float32, no step finds more than five digits.",
            NOCEDAL,
            "best_digits",
            "tanh_float32",
            5.0,
        ),
        claim(
            "At kinks of ReLU, no step finds more than two digits, in float64 "
            "either (a control).",
            NOCEDAL,
            "best_digits",
            "relu_float64",
            2.0,
        ),
    ],
    arms={name: Arm(fixed) for name, fixed in ARMS.items()},
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
