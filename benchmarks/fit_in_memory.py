"""Seconds per epoch: `fit_in_memory` against `model.fit`, and NumPy's floor.

Run: python benchmarks/fit_in_memory.py
(KERAS_BACKEND=jax for JAX; OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 for one
thread; about a minute on two cores)

Real data (scikit-learn's digits: 1000 images to train on, 200 to validate),
MLPs 64-512-512-10 and 64-64-64-10, SGD with momentum, batch 50: 20 updates and
one validation per epoch. The rivals take turns, and the fastest turn of each
counts, since whatever else a machine does can only slow it. The floor is what
the matrix products and updates of an epoch alone take in NumPy.
"""

import itertools
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from sklearn.datasets import load_digits

from keras_regimen.custom_models import fit_in_memory

TRAIN, VALIDATION, BATCH = 1000, 200, 50
ROUNDS, EPOCHS = 7, 5


def build(width, steps_per_execution=1):
    dense = keras.layers.Dense
    model = keras.Sequential(
        [
            keras.Input((64,)),
            dense(width, activation="relu"),
            dense(width, activation="relu"),
            dense(10),
        ]
    )
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
    )
    return model


def numpy_floor(width):
    """Returns a function that does an epoch's products and updates."""
    rng = np.random.default_rng(0)
    sizes = [64, width, width, 10]
    weights = [
        rng.normal(size=shape).astype("float32") / 32
        for shape in itertools.pairwise(sizes)
    ]
    velocities = [np.zeros_like(weight) for weight in weights]
    inputs = rng.normal(size=(VALIDATION, 64)).astype("float32")
    errors = rng.normal(size=(BATCH, 10)).astype("float32")

    def forward(hidden):
        outputs = [hidden]
        for weight in weights:
            outputs.append(np.maximum(outputs[-1] @ weight, 0))
        return outputs

    def epoch():
        for _ in range(TRAIN // BATCH):
            hidden, signal = forward(inputs[:BATCH]), errors
            for i in (2, 1, 0):
                gradient = hidden[i].T @ signal
                if i:
                    signal = signal @ weights[i].T
                velocities[i] *= 0.9
                velocities[i] -= 1e-6 * gradient
                weights[i] += velocities[i]
        forward(inputs)

    return epoch


def rivals(width):
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32")
    last = TRAIN + VALIDATION
    x, y = images[:TRAIN], labels[:TRAIN]
    validation = images[TRAIN:last], labels[TRAIN:last]

    def plain(model, **arguments):
        return lambda: model.fit(x, y, **common, **arguments)

    common = {
        "batch_size": BATCH,
        "epochs": EPOCHS,
        "validation_data": validation,
        "verbose": 0,
    }
    compiled = build(width)
    floor = numpy_floor(width)
    return {
        "fit": plain(build(width)),
        "fit, steps_per_execution=20": plain(
            build(width, TRAIN // BATCH), validation_batch_size=VALIDATION
        ),
        "fit_in_memory": lambda: fit_in_memory(compiled, x, y, **common),
        "NumPy's floor": lambda: [floor() for _ in range(EPOCHS)],
    }


def main():
    print(f"{keras.config.backend()}, {os.cpu_count()} cores")
    for width in (512, 64):
        runs = rivals(width)
        for run in runs.values():
            run()  # Traces.
        seconds = {name: [] for name in runs}
        for _ in range(ROUNDS):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                seconds[name].append((time.perf_counter() - start) / EPOCHS)
        best = {name: min(times) for name, times in seconds.items()}
        print(f"\nMLP 64-{width}-{width}-10{'ms per epoch':>22}{'ratio':>8}")
        for name, least in best.items():
            ratio = least / best["fit_in_memory"]
            print(f"{name:28}{1000 * least:11.1f}{ratio:8.2f}")


if __name__ == "__main__":
    main()
