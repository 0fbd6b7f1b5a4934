"""What a training method costs: its step against a plain one.

    python benchmarks/training_methods.py           # some two minutes
    python benchmarks/training_methods.py --only SharpnessAwareModel

A step is all that `fit` does with a batch of 128, of a dense net of 1.8 million
weights: loss, gradients, metrics and Adam's update, as a TensorFlow graph and
compiled by XLA (jit). Each method has a floor, the gradients that it cannot do
without, in plain steps: a forward pass counts as a third of one, a backward
pass as two thirds. SAM's floor is 2, that of an attack with one step and the
losses on clean and on attacked inputs is 3. A method that draws a direction
cannot do without Keras' normal draws, either, which XLA takes longer over, on a
CPU, than over a gradient: they are timed beside the plain step and added to the
floor. Method, plain step and draws take turns, and the median of the turns'
ratios of CPU time counts: ours over the floor. The bound is 1.1: what comes on
top of gradients and draws is a tenth of them at most. The command exits with 1
if a ratio is above it. Everything runs in one thread.
"""

import argparse
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import keras
import numpy as np
import tensorflow as tf

from keras_regimen.custom_models import (
    AdversarialModel,
    ContractiveModel,
    ImportanceSamplingModel,
    SharpnessAwareModel,
    TrainingMethod,
    VirtualAdversarialModel,
)

BOUND = 1.1
BATCH = 128
FORWARD = 1 / 3
# How many batches' worth of candidates are scored for each one learned from.
CANDIDATES = 4


def net():
    return keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(1000, activation="relu"),
            keras.layers.Dense(1000, activation="relu", name="code"),
            keras.layers.Dense(10),
        ]
    )


# By name: the method, its floor in plain steps, how many rows a step gets, and
# how many numbers it draws for each.
METHODS = {
    "TrainingMethod": (TrainingMethod, 1, BATCH, 0),
    "SharpnessAwareModel": (
        lambda model: SharpnessAwareModel(model, rho=0.05),
        2,
        BATCH,
        0,
    ),
    "SharpnessAwareModel, adaptive": (
        lambda model: SharpnessAwareModel(model, rho=0.5, adaptive=True),
        2,
        BATCH,
        0,
    ),
    "SharpnessAwareModel, every=2": (
        lambda model: SharpnessAwareModel(model, rho=0.05, every=2),
        1.5,
        BATCH,
        0,
    ),
    "AdversarialModel, fgsm": (
        lambda model: AdversarialModel(model, epsilon=0.1),
        3,
        BATCH,
        0,
    ),
    "AdversarialModel, 3 steps of pgd": (
        lambda model: AdversarialModel(
            model, epsilon=0.1, attack="pgd", steps=3, clean_weight=0
        ),
        4,
        BATCH,
        0,
    ),
    "AdversarialModel, random": (
        lambda model: AdversarialModel(model, epsilon=0.1, attack="random"),
        2,
        BATCH,
        784,
    ),
    "VirtualAdversarialModel": (
        lambda model: VirtualAdversarialModel(model, epsilon=0.5),
        3 + FORWARD,
        BATCH,
        784,
    ),
    "VirtualAdversarialModel, random": (
        lambda model: VirtualAdversarialModel(
            model, epsilon=0.5, direction="random"
        ),
        2 + FORWARD,
        BATCH,
        784,
    ),
    # The penalty's forward and backward pass, and the way back through both.
    "ContractiveModel, one direction": (
        lambda model: ContractiveModel(model, "code", strength=0.1),
        3,
        BATCH,
        1000,
    ),
    "ImportanceSamplingModel": (
        lambda model: ImportanceSamplingModel(
            model, draws=BATCH, tau_threshold=0
        ),
        1 + CANDIDATES * FORWARD,
        CANDIDATES * BATCH,
        0,
    ),
}


def step_of(wrap, rows, jit):
    """Returns a function that trains a net of its own on one batch."""
    model = wrap(net())
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit,
    )
    rng = np.random.default_rng(0)
    x = tf.constant(rng.random((rows, 784)).astype("float32"))
    y = tf.constant(rng.integers(0, 10, rows))
    model.optimizer.build(model.trainable_variables)
    step = tf.function(model.train_step, jit_compile=jit, autograph=False)
    return lambda: step((x, y))


def draws_of(numbers, jit):
    """Returns a function that draws as many numbers for each row."""
    seed = keras.random.SeedGenerator(0)

    @tf.function(jit_compile=jit, autograph=False)
    def draw():
        drawn = keras.random.normal((BATCH, numbers), seed=seed)
        return {"loss": tf.reduce_sum(tf.square(drawn))}

    return draw


def seconds(step):
    start = time.process_time()
    for _ in range(2):  # So that every second step is in each turn.
        float(step()["loss"])  # Waits for the device.
    return (time.process_time() - start) / 2


def compare(plain, draw, method, limit):
    """Returns the turns: seconds of each of the three."""
    steps = [plain, draw, method]
    for step in steps:
        seconds(step)  # Traces, and warms up.
    turns, end = [], time.perf_counter() + limit
    while len(turns) < 5 or (len(turns) < 31 and time.perf_counter() < end):
        turns.append([seconds(step) for step in steps])
    return turns


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    kinds = sorted({name.partition(",")[0] for name in METHODS})
    parser.add_argument(
        "--only", nargs="+", choices=kinds, default=kinds, metavar="NAME"
    )
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="for each pair"
    )
    arguments = parser.parse_args()

    missed = 0
    print(f"{'method':34}mode   plain / drawn / ours, ms   floor  over floor")
    for name, (wrap, floor, rows, numbers) in METHODS.items():
        if name.partition(",")[0] not in arguments.only:
            continue
        for jit in (False, True):
            turns = compare(
                step_of(lambda model: model, BATCH, jit),
                draws_of(numbers, jit) if numbers else lambda: {"loss": 0.0},
                step_of(wrap, rows, jit),
                arguments.seconds,
            )
            over = statistics.median(
                ours / (floor * plain + drawn) for plain, drawn, ours in turns
            )
            missed += over > BOUND
            plain, drawn, ours = 1000 * np.median(turns, axis=0)
            print(
                f"{name:34}{'jit' if jit else 'graph':5}"
                f"{plain:7.1f} /{drawn:6.1f} /{ours:6.1f}"
                f"{floor:12.2f}{over:11.2f}   "
                f"{BOUND} {'missed' if over > BOUND else 'kept'}",
                flush=True,
            )
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
