"""What callbacks cost: keeping the best weights, and looking at a probe.

    python benchmarks/callbacks.py                   # some two minutes
    python benchmarks/callbacks.py --only monitors

First, `EarlyStopping(restore_best_weights=True)`, ours and Keras': what an
improvement costs in an `on_epoch_end`, at 1 and at 50 million weights, in time
that passes. What a backend may put off until the weights are next written to
counts too: all weights are written to after each improvement, as a training
step does, and what writing alone costs is taken off both. The bound is half
of Keras' cost.

Second, each monitor at default settings, with a probe of an eightieth of the
rows: what a measurement costs, shared among the epochs from one to the next, on
top of a plain epoch. The bound is 1.05. A large case is a net of 0.7 million
weights on 10,000 rows in `fit`, a small one of 85,000 weights on 1,000 rows in
`fit_in_memory`, whose epochs are short. What a monitor compiles once, before
its first measurement, is printed beside it.

What is compared takes turns, and the median of the turns' ratios counts: of
CPU time for the monitors. The command exits with 1 if a bound is missed.
Keras runs in one thread; KERAS_BACKEND chooses another backend than
TensorFlow.
"""

import argparse
import functools
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import keras
import numpy as np
from keras import ops

from keras_regimen.callbacks import (
    ActivationMonitor,
    CurvatureMonitor,
    EarlyStopping,
    GradientMonitor,
)
from keras_regimen.custom_models import fit_in_memory
from keras_regimen.custom_optimizers.autodiff import compiled

PROBE = 1 / 80
KEEPING_BOUND, MONITOR_BOUND = 0.5, 1.05
MONITORS = {
    "GradientMonitor": lambda x, y: GradientMonitor(x, y),
    "ActivationMonitor": lambda x, y: ActivationMonitor(x),
    "CurvatureMonitor": lambda x, y: CurvatureMonitor(x, y),
}
# Rows, batch size, inputs, units and how an epoch is trained.
CASES = {
    "10,000 rows, fit": (10_000, 128, 784, 512, keras.Model.fit),
    "1,000 rows, in memory": (1_000, 50, 64, 256, fit_in_memory),
}


def seconds(function, clock=time.process_time):
    start = clock()
    function()
    return clock() - start


passed = functools.partial(seconds, clock=time.perf_counter)


def verdict(ratio, bound):
    return f"{ratio:8.3f}   {bound} {'kept' if ratio <= bound else 'missed'}"


def writer(weights):
    """Returns a function that updates all weights, as a step does."""
    if keras.config.backend() == "jax":
        import jax

        @functools.partial(jax.jit, donate_argnums=0)
        def decayed(arrays):
            return [0.999999 * array for array in arrays]

        def update():
            arrays = decayed([weight.value for weight in weights])
            for weight, array in zip(weights, arrays, strict=True):
                weight.assign(array)
    else:
        optimizer = keras.optimizers.SGD(1e-6)
        optimizer.build(weights)
        gradients = [ops.ones(weight.shape) for weight in weights]
        update = compiled(lambda: optimizer.apply(gradients, weights))

    def write():
        update()
        # Waits for the device.
        float(ops.convert_to_numpy(weights[-1].value[0, 0]))

    return write


def keeping(size, turns):
    """Returns the median ratio of ours to Keras' cost of an improvement."""
    units = round((size / 10) ** 0.5)
    model = keras.Sequential([keras.Input((units,))])
    for _ in range(10):
        model.add(keras.layers.Dense(units, use_bias=False))
    model.compile("sgd", "mse")
    write = writer(model.trainable_variables)
    stoppers = []
    for kind in (EarlyStopping, keras.callbacks.EarlyStopping):
        stopper = kind("loss", mode="min", restore_best_weights=True)
        stopper.set_model(model)
        stopper.on_train_begin()
        stoppers.append(stopper)
    # In steps that single precision tells apart, as Keras needs them.
    loss = iter(range(10**6, 0, -1))

    def improve(stopper):
        stopper.on_epoch_end(0, {"loss": float(next(loss))})
        write()

    found = []
    for turn in range(turns + 2):
        plain, ours, theirs = (
            passed(write),
            *(passed(lambda s=s: improve(s)) for s in stoppers),
        )
        if turn > 1:  # The first ones trace, and take fresh memory.
            found.append((ours - plain, theirs - plain))
    for stopper in stoppers:
        stopper.on_train_end()
    ratio = statistics.median(ours / theirs for ours, theirs in found)
    ours, theirs = 1000 * np.median(found, axis=0)
    print(
        f"best of {size / 1e6:4.0f} million weights   "
        f"{ours:8.2f} /{theirs:8.2f} ms  {verdict(ratio, KEEPING_BOUND)}",
        flush=True,
    )
    return ratio > KEEPING_BOUND


def monitored(name, case, limit):
    """Returns whether a monitor costs more than its bound."""
    rows, batch, inputs, units, fit = CASES[case]
    rng = np.random.default_rng(0)
    x = rng.random((rows, inputs)).astype("float32")
    y = rng.integers(0, 10, rows)
    model = keras.Sequential(
        [
            keras.Input((inputs,)),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dense(units, activation="tanh"),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )

    def epoch():
        fit(model, x, y, batch_size=batch, verbose=0)

    epoch()
    probe = int(PROBE * rows)
    monitor = MONITORS[name](x[:probe], y[:probe])
    monitor.set_model(model)
    monitor.on_train_begin()
    first = seconds(lambda: monitor.on_epoch_end(0))
    found, end = [], time.perf_counter() + limit
    while len(found) < 5 or (len(found) < 31 and time.perf_counter() < end):
        looked = seconds(lambda: monitor.on_epoch_end(0))
        found.append((seconds(epoch), looked))
    ratio = statistics.median(
        1 + looked / (monitor.every * plain) for plain, looked in found
    )
    plain, looked = 1000 * np.median(found, axis=0)
    print(
        f"{name:18}{case:22}every {monitor.every:2} "
        f"{plain:8.1f} + {looked:6.1f} ms (first {1000 * first:5.0f})"
        f"{verdict(ratio, MONITOR_BOUND)}",
        flush=True,
    )
    return ratio > MONITOR_BOUND


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parts = ("keeping", "monitors")
    parser.add_argument("--only", choices=parts, nargs="+", default=parts)
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="for each monitor and case"
    )
    arguments = parser.parse_args()

    missed = 0
    if "keeping" in arguments.only:
        print("an improvement, ours / Keras', and their ratio")
        missed += keeping(1_000_000, turns=31)
        missed += keeping(50_000_000, turns=31)
    if "monitors" in arguments.only:
        print("an epoch + a measurement, and an epoch with its share of one")
        for case in CASES:
            for name in MONITORS:
                missed += monitored(name, case, arguments.seconds)
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
