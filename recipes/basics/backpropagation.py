"""Backpropagation: is the gradient of a net by hand that of autodiff?

Rumelhart, Hinton and Williams, 1986 (Nature 323, pages 533-536) compute the
exact gradient of a layered net in one backward pass. Here it is written out
in NumPy for a net of two hidden layers, and held against automatic
differentiation of the same net in Keras, and against central differences,
which need two evaluations of the loss for each of the weights.
"""

from itertools import pairwise

import keras
import numpy as np

from keras_regimen.recipes.harness import Arm, Exact, Recipe, value

SIZES = (6, 8, 8, 3)
ACTIVATIONS = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
    "tanh": (np.tanh, lambda a: 1 - a**2),
    "relu": (lambda z: np.maximum(z, 0), lambda a: (a > 0).astype(a.dtype)),
}


def forward(weights, x, activation):
    """Returns the activations of every layer, the input first."""
    function, _ = ACTIVATIONS[activation]
    layers = [x]
    for kernel, bias in weights[:-1]:
        layers.append(function(layers[-1] @ kernel + bias))
    kernel, bias = weights[-1]
    return [*layers, layers[-1] @ kernel + bias]


def loss(weights, x, y, activation):
    return np.mean((forward(weights, x, activation)[-1] - y) ** 2)


def backward(weights, x, y, activation):
    """Returns the gradient of the mean squared error, as `weights` is."""
    _, derivative = ACTIVATIONS[activation]
    layers = forward(weights, x, activation)
    # d loss / d (pre-activation), from the last layer to the first.
    delta = 2 * (layers[-1] - y) / y.size
    gradient = []
    for below, (kernel, _) in zip(layers[-2::-1], weights[::-1], strict=True):
        gradient.append((below.T @ delta, delta.sum(axis=0)))
        delta = (delta @ kernel.T) * derivative(below)
    return gradient[::-1]


def central_differences(weights, x, y, activation, step=1e-5):
    gradient = [(np.zeros_like(k), np.zeros_like(b)) for k, b in weights]
    for pair, slopes in zip(weights, gradient, strict=True):
        for array, slope in zip(pair, slopes, strict=True):
            for i in np.ndindex(array.shape):
                kept = array[i]
                array[i] = kept + step
                above = loss(weights, x, y, activation)
                array[i] = kept - step
                below = loss(weights, x, y, activation)
                array[i] = kept
                slope[i] = (above - below) / (2 * step)
    return gradient


def autodiff(weights, x, y, activation):
    """Returns the gradient that Keras' training step would use."""
    model = keras.Sequential([keras.Input((SIZES[0],), dtype="float64")])
    for units in SIZES[1:-1]:
        model.add(keras.layers.Dense(units, activation, dtype="float64"))
    model.add(keras.layers.Dense(SIZES[-1], dtype="float64"))
    model.set_weights([array for pair in weights for array in pair])
    # One step of gradient descent with rate 1 moves weights by the gradient.
    # A loss computes in float32 unless told, whatever the layers do.
    loss = keras.losses.MeanSquaredError(dtype="float64")
    model.compile(keras.optimizers.SGD(1.0), loss, jit_compile=False)
    before = model.get_weights()
    model.train_on_batch(x, y)
    arrays = [b - a for b, a in zip(before, model.get_weights(), strict=True)]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def relative_error(ours, reference):
    flat = [
        np.concatenate([a.ravel() for p in g for a in p])
        for g in (ours, reference)
    ]
    return np.linalg.norm(flat[0] - flat[1]) / np.linalg.norm(flat[1])


def measure(hp, seed):
    activation = hp.Choice("activation", list(ACTIVATIONS))
    rng = np.random.default_rng(seed)
    weights = [
        (rng.normal(size=(n, m)) / np.sqrt(n), 0.1 * rng.normal(size=m))
        for n, m in pairwise(SIZES)
    ]
    x = rng.normal(size=(32, SIZES[0]))
    y = rng.normal(size=(32, SIZES[-1]))
    by_hand = backward(weights, x, y, activation)
    by_keras = autodiff(weights, x, y, activation)
    differences = central_differences(weights, x, y, activation)
    return {
        "against_autodiff": relative_error(by_hand, by_keras),
        "against_differences": relative_error(by_hand, differences),
    }


recipe = Recipe(
    claims=[
        Exact(
            "Backpropagation by hand is the gradient of autodiff.",
            source="Rumelhart, Hinton and Williams, 1986",
            metric=value("against_autodiff"),
            at_most=1e-12,
        ),
        Exact(
            "Central differences find the same gradient, less exactly.",
            source="Rumelhart, Hinton and Williams, 1986",
            metric=value("against_differences"),
            at_most=1e-8,
        ),
    ],
    arms={name: Arm({"activation": name}) for name in ACTIVATIONS},
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
