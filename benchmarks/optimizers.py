"""What an optimizer costs: its step against Adam's, L-BFGS against others'.

    python benchmarks/optimizers.py             # a quarter hour
    python benchmarks/optimizers.py --quick     # fewer turns, 1M weights only
    python benchmarks/optimizers.py --only Yogi Lookahead

Steps are measured of a net of 1 and of 10 million weights, as a TensorFlow
graph and compiled by XLA (jit). An update is the optimizer alone, on gradients
that are there already, and is held to the bound. A train step is what `fit`
does for a batch of 32, its default, for information: what a user pays. A
first-order optimizer's rival is Keras' Adam in both; a wrapper's is Adam and,
by hand, its own arithmetic. The two take turns, and the median of the turns'
ratios of CPU time counts; of several processes (`apart.py` says why), the
median.

L-BFGS minimizes the loss of a net on all of scikit-learn's digits, in turns
with SciPy's and PyTorch's (`full_batch_rivals.py`). There wall time counts,
and what compilation takes once stands beside it. The bound is for
`jit_compile=True`; the graph, Keras' default on a CPU, is for information.

Everything runs in one thread, because idle threads of one library are in the
way of the others; set `OMP_NUM_THREADS` and the like for more. The command
exits with 1 if a ratio is above its bound.
"""

import argparse
import json
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import keras
import numpy as np
import tensorflow as tf
from apart import measured_often
from optimizer_pairs import BOUND, FIRST_ORDER, PAIRS, PERIOD

# Layers and units of a net of as many weights.
NETS = {"1M": (4, 500), "10M": (10, 1000)}


def train_step_of(optimizer, size, jit):
    """Returns a function that trains a net of its own on a batch of 32."""
    layers, units = NETS[size]
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((units,))])
    for _ in range(layers):
        model.add(keras.layers.Dense(units, activation="relu"))
    model.compile(optimizer, "mse", jit_compile=jit)
    rng = np.random.default_rng(0)
    batch = tf.constant(rng.normal(size=(32, units)).astype("float32"))
    return lambda: model.train_on_batch(batch, batch)


def update_of(optimizer, size, jit):
    """Returns a function that moves the weights of a net of its own."""
    layers, units = NETS[size]
    rng = np.random.default_rng(0)
    shapes = [(units, units), (units,)] * layers
    variables = [
        keras.Variable(rng.normal(size=shape, scale=0.05).astype("float32"))
        for shape in shapes
    ]
    gradients = [
        tf.constant(rng.normal(size=shape, scale=0.01).astype("float32"))
        for shape in shapes
    ]
    optimizer.build(variables)

    # Arguments, because XLA takes its time over large constants.
    @tf.function(jit_compile=jit, autograph=False)
    def step(gradients):
        optimizer.apply(gradients, variables)
        return variables[0][0, 0]

    return lambda: step(gradients)


def seconds(step):
    start = time.process_time()
    for _ in range(PERIOD):
        float(step())  # Waits for the device.
    return (time.process_time() - start) / PERIOD


def compare(rival, ours, limit):
    """Returns the median seconds of both, and the median ratio."""
    for step in (rival, ours):
        seconds(step)  # Traces, and warms up.
    turns, end = [], time.perf_counter() + limit
    while len(turns) < 5 or (len(turns) < 31 and time.perf_counter() < end):
        turns.append((seconds(rival), seconds(ours)))
    ratios = [ours / rival for rival, ours in turns]
    return *np.median(turns, axis=0), statistics.median(ratios)


def report(name, rival, ours, ratio, bound=None):
    """Prints a line; returns whether the bound is missed, if there is one."""
    line = f"{name:46}{1000 * rival:9.2f} /{1000 * ours:9.2f}{ratio:8.2f}"
    missed = bound is not None and ratio > bound
    if bound is not None:
        line += f"   {bound:.2f} {'missed' if missed else 'kept'}"
    print(line, flush=True)
    return missed


def contests(name):
    """Yields what is measured, how its step is made, and the bound."""
    if name in FIRST_ORDER:
        yield "train step", train_step_of, None
    yield "update", update_of, BOUND


def race(widths, rounds):
    """Lets the three L-BFGS take turns; returns how many bounds are missed."""
    import full_batch_rivals as rivals

    missed = 0
    for width in widths:
        runs = {
            "graph": rivals.ours(width, jit=False),
            "jit": rivals.ours(width, jit=True),
            "SciPy, graph": rivals.by_scipy(width, jit=False),
            "SciPy, jit": rivals.by_scipy(width, jit=True),
            "PyTorch": rivals.by_torch(width),
        }
        found = {name: [] for name in runs}
        for _ in range(rounds):
            for name, (run, _) in runs.items():
                found[name].append(run())
        print(f"\nL-BFGS to a loss of {rivals.GOAL}, 64-{width}-10, wall time")
        for name, outcomes in found.items():
            last = outcomes[-1]
            line = f"{name:14}{last.evaluations:4} gradients, loss "
            line += f"{last.loss:.4f}, compiled in {runs[name][1]:.1f} s"
            print(line, flush=True)
        for mode in ("graph", "jit"):
            for name in list(runs)[2:]:
                times = [
                    (theirs.seconds, ours.seconds)
                    for theirs, ours in zip(
                        found[name], found[mode], strict=True
                    )
                ]
                ratio = statistics.median(b / a for a, b in times)
                line = f"{name} / LBFGS, {mode}"
                medians = np.median(times, axis=0)
                bound = 1.0 if mode == "jit" else None
                missed += report(line, *medians, ratio, bound)
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [*PAIRS, "LBFGS"]
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME"
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument(
        "--times", action="store_true", help="as JSON, of this process"
    )
    arguments = parser.parse_args()
    quick = arguments.quick

    # By line: the bound, and a function that makes both steps.
    todo = {
        f"{name}, {what}, {size}, {mode}": (
            bound,
            lambda pair=pair, step_of=step_of, of=(size, jit): [
                step_of(make(), *of) for make in pair
            ],
        )
        for name, pair in PAIRS.items()
        if name in arguments.only
        for size in (["1M"] if quick else NETS)
        for mode, jit in (("graph", False), ("jit", True))
        for what, step_of, bound in contests(name)
    }
    if arguments.times:
        limit = 0.5 if quick else 1.5
        found = {
            line: compare(*steps(), limit=limit)
            for line, (_, steps) in todo.items()
        }
        print(json.dumps(found))
        return

    again = ["--times", "--only", *arguments.only, *["--quick"] * quick]
    processes = arguments.processes if todo else 0  # L-BFGS needs none.
    rounds = measured_often(processes, __file__, *again)
    print(f"TensorFlow {tf.__version__}, {arguments.processes} processes")
    print(f"{'CPU milliseconds of rival / ours':46}{'ratio':>28}  bound")
    missed = 0
    for line, (bound, _) in todo.items():
        times = np.array([found[line] for found in rounds])
        missed += report(line, *np.median(times, axis=0).tolist(), bound)
    if "LBFGS" in arguments.only:
        missed += race([64] if quick else [64, 256], 5 if quick else 15)
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
