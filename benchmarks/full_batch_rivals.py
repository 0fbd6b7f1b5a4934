"""L-BFGS on full-batch digits three times: ours, SciPy's and PyTorch's.

Each rival minimizes the same loss of the same net from the same weights until
it is at most `GOAL`, and remembers ten steps. SciPy gets loss and gradient of
the Keras model from one compiled call. PyTorch minimizes on a net of its own,
and stops at the first evaluation that is low enough.
"""

import contextlib
import os
import time
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import scipy.optimize
import tensorflow as tf
import torch
from sklearn.datasets import load_digits

from keras_regimen.custom_models import FullBatchModel
from keras_regimen.custom_optimizers import LBFGS

GOAL = 0.01


class Outcome(NamedTuple):
    """How long a rival took, and what it reached after how many gradients."""

    seconds: float
    loss: float
    evaluations: int


class _ReachedError(Exception):
    """The loss is low enough."""


def digits():
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype("float32"), y.astype("int32")


def net(width):
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    return keras.Sequential(
        [keras.Input((64,)), dense(width, activation="tanh"), dense(10)]
    )


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class _UntilGoal(keras.callbacks.Callback):
    evaluations = 0

    def on_epoch_end(self, epoch, logs=None):
        self.loss = logs["loss"]
        self.evaluations += logs["evaluations"]
        self.model.stop_training = self.loss <= GOAL


def ours(width, jit):
    """Returns a function that minimizes, and the seconds to compile."""
    x, y = digits()
    model = FullBatchModel(net(width))
    start = model.get_weights()
    model.compile(LBFGS(), cross_entropy(), jit_compile=jit)

    def run():
        model.set_weights(start)
        model.optimizer.forget()
        goal = _UntilGoal()
        begin = time.perf_counter()
        model.fit(x, y, epochs=1000, verbose=0, callbacks=[goal])
        seconds = time.perf_counter() - begin
        return Outcome(seconds, goal.loss, goal.evaluations)

    return run, compilation(run)


def by_scipy(width, jit):
    """Returns a function that minimizes, and the seconds to compile."""
    x, y = map(tf.constant, digits())
    model, loss = net(width), cross_entropy()
    start = model.get_weights()
    weights = [variable.value for variable in model.trainable_variables]
    cuts = np.cumsum([value.size for value in start])[:-1]
    outcome = Outcome(0, np.inf, 0)

    @tf.function(jit_compile=jit)
    def derivatives():
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        gradients = tape.gradient(value, weights)
        return value, tf.concat([tf.reshape(g, (-1,)) for g in gradients], 0)

    def function(vector):
        nonlocal outcome
        parts = np.split(vector.astype("float32"), cuts)
        for weight, part in zip(weights, parts, strict=True):
            weight.assign(part.reshape(weight.shape))
        value, gradient = derivatives()
        outcome = Outcome(0, float(value), outcome.evaluations + 1)
        return outcome.loss, gradient.numpy().astype("float64")

    def reached(intermediate_result):
        if intermediate_result.fun <= GOAL:
            raise StopIteration

    def run():
        nonlocal outcome
        outcome = Outcome(0, np.inf, 0)
        begin = time.perf_counter()
        scipy.optimize.minimize(
            function,
            np.concatenate([value.ravel() for value in start]),
            jac=True,
            method="L-BFGS-B",
            callback=reached,
            options={"maxiter": 1000, "ftol": 0, "gtol": 0},
        )
        return outcome._replace(seconds=time.perf_counter() - begin)

    return run, compilation(run)


def by_torch(width):
    """Returns a function that minimizes: PyTorch compiles nothing."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    x, y = map(torch.tensor, digits())
    y = y.long()
    start = net(width).get_weights()
    model = torch.nn.Sequential(
        torch.nn.Linear(64, width), torch.nn.Tanh(), torch.nn.Linear(width, 10)
    )

    def run():
        with torch.no_grad():
            for weight, value in zip(model.parameters(), start, strict=True):
                weight.copy_(torch.tensor(value.T))
        optimizer = torch.optim.LBFGS(
            model.parameters(),
            max_iter=1000,
            max_eval=10_000,
            tolerance_grad=0,
            tolerance_change=0,
            history_size=10,
            line_search_fn="strong_wolfe",
        )
        outcome = Outcome(0, np.inf, 0)

        def closure():
            nonlocal outcome
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            outcome = Outcome(0, loss.item(), outcome.evaluations + 1)
            if outcome.loss <= GOAL:
                raise _ReachedError
            loss.backward()
            return loss

        begin = time.perf_counter()
        with contextlib.suppress(_ReachedError):
            optimizer.step(closure)
        return outcome._replace(seconds=time.perf_counter() - begin)

    run()
    return run, 0.0


def compilation(run):
    """Returns how much longer the first run takes than the second."""
    return run().seconds - run().seconds
