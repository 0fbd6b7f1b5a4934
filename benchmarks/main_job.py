"""The main job against a plain loop: how much sooner is the verdict there?

    python benchmarks/main_job.py            # one round, some ten minutes
    python benchmarks/main_job.py --seeds 1 --rounds 3

Runs the cells of the dropout recipe three ways, one after the other in each
round, each from a fresh process, imports included:

- `regimen run dropout`
- `plain`: a sequential loop over `model.fit` as anyone would write it
- `tuned`: that loop tuned by hand: `steps_per_execution`, one validation
  batch, two processes of one thread each

Both loops do less than the command: they evaluate the test data once for each
cell, and keep no curves of it.
"""

import argparse
import itertools
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time

import threadpoolctl

from keras_regimen.recipes.harness.quiet_import import import_keras

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}


def cells(seeds):
    """Returns (arm, data name, seed) of each cell of the recipe."""
    from keras_regimen.recipes.regularization.dropout import recipe

    return [
        (arm, condition, seed)
        for seed in range(seeds)
        for condition in recipe.at("cpu").data
        for arm in recipe.arms
    ]


def train(todo, tuned):
    """Fits the cells one after the other; returns their test errors."""
    import keras

    from keras_regimen.recipes.harness.contract.hyperparameters import (
        HyperParameters,
    )
    from keras_regimen.recipes.harness.contract.splits import Data
    from keras_regimen.recipes.harness.engine.training import prepared
    from keras_regimen.recipes.regularization.dropout import recipe

    settings = recipe.at("cpu")
    errors = []
    for arm, condition, seed in todo:
        splits = settings.data[condition](seed).to(recipe.takes, recipe.target)
        hp = HyperParameters(recipe.arms[arm].on(condition))
        model = prepared(recipe, hp, Data(splits), seed)
        if tuned:
            model.steps_per_execution = 20
        best = keras.callbacks.EarlyStopping(
            patience=settings.epochs, restore_best_weights=True
        )
        model.fit(
            *splits.train,
            batch_size=settings.batch_size,
            epochs=settings.epochs,
            validation_data=splits.validation,
            validation_batch_size=200 if tuned else None,
            callbacks=[best],
            verbose=0,
        )
        logs = model.evaluate(*splits.test, verbose=0, return_dict=True)
        errors.append(logs["error"])
    return errors


def loop(seeds, tuned):
    """Runs one of the loops in this process, or in two below it."""
    if not tuned:
        train(cells(seeds), tuned)
        return
    os.environ.update(ONE_THREAD)
    todo = cells(seeds)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(train, [(todo[i::2], True) for i in range(2)])


def floor(seeds, epochs=60, steps=20, batch=50, sizes=(64, 512, 512, 10)):
    """Returns the seconds of the matrix products alone, on two cores."""
    import numpy as np

    rng = np.random.default_rng(0)
    draw = [rng.normal(size=(batch, n)).astype("float32") for n in sizes]
    kernels = [
        rng.normal(size=(n, m)).astype("float32")
        for n, m in itertools.pairwise(sizes)
    ]

    def step():
        for below, kernel, above in zip(
            draw[:-1], kernels, draw[1:], strict=True
        ):
            below @ kernel  # forward
            below.T @ above  # gradient of the kernel
            above @ kernel.T  # gradient of the layer below

    times = []
    for _ in range(200):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    total = statistics.median(times) * steps * epochs
    return total * len(cells(seeds)) / 2


def seconds(command, **environment):
    """Returns the wall seconds of a command in a fresh process."""
    start = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--loop", choices=["plain", "tuned"])
    arguments = parser.parse_args()
    if arguments.loop:
        loop(arguments.seeds, arguments.loop == "tuned")
        return
    regimen = [sys.executable, "-m", "keras_regimen.recipes.cli", "run"]
    regimen += ["dropout", "--seeds", str(arguments.seeds), "--out"]
    this = [sys.executable, __file__, "--seeds", str(arguments.seeds), "--loop"]
    ratios = {"plain": [], "tuned": []}
    for number in range(1, arguments.rounds + 1):
        with tempfile.TemporaryDirectory() as out:
            ours = seconds([*regimen, out])
        print(f"round {number}: regimen run {ours:.1f} s", end="", flush=True)
        for name, found in ratios.items():
            theirs = seconds([*this, name])
            found.append(theirs / ours)
            print(f", {name} loop {theirs:.1f} s", end="", flush=True)
        print()
    import_keras()
    with threadpoolctl.threadpool_limits(1):
        bound = floor(arguments.seeds)
    for name, found in ratios.items():
        print(f"{name} loop / regimen run: {statistics.median(found):.2f}")
    print(f"regimen run / NumPy's matrix products: {ours / bound:.2f}")


if __name__ == "__main__":
    main()
