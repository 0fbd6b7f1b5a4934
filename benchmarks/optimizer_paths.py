"""The paths that optimizers take: ours, and those of other libraries.

An optimizer's path is its weights after each of 20 steps, on gradients that
are given; a schedule's is its rates; a closure optimizer's is its points on
Rosenbrock's function, or Himmelblau's. All of it in float64.
"""

import jax
import keras
import numpy as np
import optax
import torch
from scipy import optimize

from keras_regimen.recipes.harness.datasets.landscapes import (
    rosenbrock,
    rosenbrock_start,
)

STEPS = 20


def task():
    rng = np.random.default_rng(0)
    return rng.normal(size=(6, 4)), rng.normal(size=(STEPS, 6, 4))


def by_keras(optimizer, average=False):
    """Returns the path of a Keras optimizer, or of its averaged weights."""
    weight, gradients = task()
    variable = keras.Variable(weight, dtype="float64", name="kernel")
    path = []
    for gradient in gradients:
        gradient = keras.ops.convert_to_tensor(gradient, "float64")
        optimizer.apply([gradient], [variable])
        if average:
            optimizer.use_averaged_weights([variable])
        path.append(variable.numpy().copy())
        if average:
            optimizer.use_training_weights()
    return path


def by_optax(optimizer, lookahead=False, transposed=False):
    """Returns the path of an optax transformation."""
    weight, gradients = task()
    if transposed:
        weight, gradients = weight.T, gradients.transpose(0, 2, 1)
    weight, path = jax.numpy.asarray(weight), []
    if lookahead:
        weight = optax.LookaheadParams.init_synced(weight)
    state = optimizer.init(weight)
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, weight)
        weight = optax.apply_updates(weight, updates)
        shown = np.array(weight.fast if lookahead else weight)
        path.append(shown.T if transposed else shown)
    return path


def by_torch(make, average=False):
    """Returns the path of a PyTorch optimizer, or of the mean of its path."""
    weight, gradients = task()
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(torch.tensor(weight))
    optimizer, path = make([module.weight]), []
    mean = torch.optim.swa_utils.AveragedModel(module)
    for gradient in gradients:
        module.weight.grad = torch.tensor(gradient)
        optimizer.step()
        mean.update_parameters(module)
        shown = mean.module if average else module
        path.append(shown.weight.detach().numpy().copy())
    return path


def rates(schedule):
    """Returns the rates of a schedule of Keras, ours or optax'."""
    return [float(schedule(step)) for step in range(STEPS)]


def torch_rates(make, rate=0.5):
    """Returns the rates that a scheduler of PyTorch sets."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
    scheduler, path = make(optimizer), []
    for _ in range(STEPS):
        path.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(path) < STEPS:
            scheduler.step()
    return path


def himmelblau(w):
    return (w[0] ** 2 + w[1] - 11) ** 2 + (w[0] + w[1] ** 2 - 7) ** 2


def start(function):
    return rosenbrock_start() if function is rosenbrock else np.zeros(2)


def derivatives(function):
    """Returns gradient and Hessian of a function, as functions."""
    gradient = jax.jit(jax.grad(function))
    hessian = jax.jit(jax.hessian(function))
    return (lambda w: np.array(gradient(w))), (lambda w: np.array(hessian(w)))


def minimized(optimizer, function=rosenbrock):
    """Returns the points of a closure optimizer."""
    w, path = keras.Variable(start(function), dtype="float64"), []
    optimizer.minimize(
        lambda: function(w.value),
        [w],
        max_iterations=STEPS,
        callback=lambda report: path.append(w.numpy().copy()),
    )
    return path


def by_scipy(method, function=rosenbrock):
    """Returns the points of a method of SciPy."""
    path = []
    gradient, hessian = derivatives(function)
    optimize.minimize(
        function,
        start(function),
        jac=gradient,
        hess=hessian if "ewton" in method else None,
        method=method,
        callback=lambda x: path.append(x.copy()),
    )
    return path[:STEPS]


def torch_lbfgs():
    """Returns the points of PyTorch's L-BFGS."""
    w, path = torch.tensor(start(rosenbrock), requires_grad=True), []
    optimizer = torch.optim.LBFGS(
        [w], max_iter=1, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(w)
        loss.backward()
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)
        path.append(w.detach().numpy().copy())
    return path


def optax_lbfgs():
    """Returns the points of optax' L-BFGS."""
    w, path = jax.numpy.asarray(start(rosenbrock)), []
    optimizer = optax.lbfgs(memory_size=10)
    state = optimizer.init(w)
    for _ in range(STEPS):
        value, gradient = jax.value_and_grad(rosenbrock)(w)
        updates, state = optimizer.update(
            gradient, state, w, value=value, grad=gradient, value_fn=rosenbrock
        )
        w = optax.apply_updates(w, updates)
        path.append(np.array(w))
    return path
