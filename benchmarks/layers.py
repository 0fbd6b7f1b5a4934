"""What a layer costs: its train step against that of its nearest built-in.

    python benchmarks/layers.py                 # all layers, a quarter hour
    python benchmarks/layers.py --layers BatchNormLSTM DropConnect

A step is the layer alone: outputs, gradients of inputs and weights, moving
statistics and an update, as a TensorFlow graph and compiled by XLA (jit).
Nothing around the layer dilutes the ratio. Layer and rival (`layer_pairs.py`)
take turns in one process, and the median of the turns' ratios counts; of
several processes, one after another (`apart.py` says why), the median is held
to the bound. Keep the machine quiet. The command exits with 1 if a ratio is
above its bound.

Memory is what a step adds to the resident set at its peak (on Linux), seen in
a process of its own: oneDNN's allocator, which keeps what is freed, is off
there.
"""

import argparse
import ctypes
import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import tensorflow as tf
from apart import measured_apart, measured_often
from layer_pairs import BOUNDS, TABLE


def train_step(layer, shape, jit):
    """Returns a function that takes one step of the layer alone."""
    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(size=shape).astype("float32"))
    outputs = layer(inputs, training=True)
    signal = tf.constant(rng.normal(size=outputs.shape).astype("float32"))
    variables = [v.value for v in layer.trainable_variables]

    @tf.function(jit_compile=jit)
    def step():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            penalty = tf.add_n(layer.losses) if layer.losses else tf.zeros(())
        sources = [inputs, *variables]
        targets = [outputs, penalty]
        signals = [signal, tf.ones(())]
        first, *rest = tape.gradient(
            targets, sources, signals, unconnected_gradients="zero"
        )
        for variable, gradient in zip(variables, rest, strict=True):
            variable.assign_sub(1e-4 * gradient)
        return outputs, first

    return step


def seconds(step):
    start = time.perf_counter()
    outputs, _ = step()
    float(tf.reshape(outputs, (-1,))[0])  # Waits for the device.
    return time.perf_counter() - start


def peak_megabytes(step):
    """Returns how much resident memory the step adds, at the peak."""

    def resident(name):
        status = Path("/proc/self/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) / 1024

    step()  # Traces, and compiles.
    found = []
    for _ in range(3):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # Resets the peak.
        before = resident("VmRSS")
        step()
        found.append(resident("VmHWM") - before)
    return statistics.median(found)


def compare(rival, layer):
    """Returns the median seconds of both, and the median ratio."""
    for step in (rival, layer):
        for _ in range(2):  # Traces, and warms up.
            step()
    turns, end = [], time.perf_counter() + 2
    while len(turns) < 5 or (len(turns) < 51 and time.perf_counter() < end):
        turns.append((seconds(rival), seconds(layer)))
    ratios = [ours / theirs for theirs, ours in turns]
    return *np.median(turns, axis=0), statistics.median(ratios)


def main():
    names = [name for layers in TABLE.values() for name in layers]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--layers", nargs="+", choices=names, default=names, metavar="NAME"
    )
    parser.add_argument("--processes", type=int, default=3)
    for what in ("memory", "times"):
        parser.add_argument(
            f"--{what}", action="store_true", help="as JSON, of this process"
        )
    arguments = parser.parse_args()

    # By name and mode: the bound, and a function that makes both steps.
    todo = {
        f"{name} {mode}": (
            BOUNDS.get(kind),
            lambda shape=shape, pair=layers[name], mode=mode: [
                train_step(make(), shape, jit=mode == "jit")
                for make in reversed(pair)
            ],
        )
        for (kind, shape), layers in TABLE.items()
        for name in layers
        for mode in ("graph", "jit")
        if name in arguments.layers
    }
    if arguments.memory or arguments.times:
        found = {
            name: compare(*steps())
            if arguments.times
            else [peak_megabytes(step) for step in steps()]
            for name, (_, steps) in todo.items()
        }
        print(json.dumps(found))
        return

    chosen = ["--layers", *arguments.layers]
    memory = measured_apart(
        __file__, "--memory", *chosen, TF_ENABLE_ONEDNN_OPTS="0"
    )
    rounds = measured_often(arguments.processes, __file__, "--times", *chosen)
    print(
        f"TensorFlow {tf.__version__}, {os.cpu_count()} cores, "
        f"{arguments.processes} processes"
    )
    print(f"{'rival / layer':34}{'ms':>18}{'MB':>16}   ratio      range  bound")
    late = 0
    for name, (bound, _) in todo.items():
        times = np.array([found[name] for found in rounds])
        rival, layer, ratio = np.median(times, axis=0).tolist()
        ratios = times[:, 2]
        line = f"{name:34}{1000 * rival:8.2f} /{1000 * layer:8.2f}"
        line += "{:7.1f} /{:7.1f}".format(*memory[name]) + f"{ratio:8.2f}"
        line += f"{min(ratios):7.2f}-{max(ratios):.2f}"
        if bound:
            late += ratio > bound
            line += f"   {bound:.2f} {'missed' if ratio > bound else 'kept'}"
        print(line)
    sys.exit(late > 0)


if __name__ == "__main__":
    main()
