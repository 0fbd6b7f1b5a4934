"""What a layer costs: its train step against that of its nearest built-in.

    python benchmarks/layers.py                 # all layers, some minutes
    python benchmarks/layers.py --layers BatchNormLSTM DropConnect

A step is the layer alone: outputs, gradients of inputs and weights, moving
statistics and an update, as a TensorFlow graph and compiled by XLA (jit).
Nothing around the layer dilutes the ratio. Layer and rival (`layer_pairs.py`)
take turns in one process, and the median of the turns' ratios counts; keep the
machine quiet. The command exits with 1 if a ratio is above its bound.

Memory is what a step adds to the resident set at its peak (on Linux), seen in
a second process: oneDNN's allocator, which keeps what is freed, is off there.
"""

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
import tensorflow as tf
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


def memory_of(names):
    """Returns megabytes of rival and layer for each layer and mode."""
    command = [sys.executable, __file__, "--memory", "--layers", *names]
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
    child = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE
    )
    return json.loads(child.stdout)


def compare(rival, layer, repeats):
    """Returns the median seconds of both, and the median ratio."""
    for step in (rival, layer):
        for _ in range(2):  # Traces, and warms up.
            step()
    turns, end = [], time.perf_counter() + 4
    while len(turns) < min(5, repeats) or (
        len(turns) < repeats and time.perf_counter() < end
    ):
        turns.append((seconds(rival), seconds(layer)))
    ratios = [ours / theirs for theirs, ours in turns]
    return *np.median(turns, axis=0), statistics.median(ratios)


def main():
    names = [name for layers in TABLE.values() for name in layers]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--layers", nargs="+", choices=names, default=names, metavar="NAME"
    )
    parser.add_argument("--repeats", type=int, default=101)
    parser.add_argument("--memory", action="store_true", help="as JSON, alone")
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
    if arguments.memory:
        found = {
            name: [peak_megabytes(step) for step in steps()]
            for name, (_, steps) in todo.items()
        }
        print(json.dumps(found))
        return
    memory = memory_of(arguments.layers)
    print(f"TensorFlow {tf.__version__}, {os.cpu_count()} cores")
    print(f"{'rival / layer':34}{'ms':>18}{'MB':>16}   ratio  bound")
    late = 0
    for name, (bound, steps) in todo.items():
        rival, layer, ratio = compare(*steps(), arguments.repeats)
        line = f"{name:34}{1000 * rival:8.2f} /{1000 * layer:8.2f}"
        line += "{:7.1f} /{:7.1f}".format(*memory[name]) + f"{ratio:8.2f}"
        if bound:
            late += ratio > bound
            line += f"   {bound:.2f} {'missed' if ratio > bound else 'kept'}"
        print(line, flush=True)
    sys.exit(late > 0)


if __name__ == "__main__":
    main()
