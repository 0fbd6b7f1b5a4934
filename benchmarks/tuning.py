"""Searches: what two workers gain, what a trial costs, and memory.

    python benchmarks/tuning.py              # some twenty minutes
    python benchmarks/tuning.py --only trial --seconds 3

Three questions, each answered by processes that run one after the other and
take turns, on arrays that the script makes; it exits with 1 if a bound is
missed:

- how many trials a second two workers finish, over one worker (at least 1.6)
- how long a trial of some ten seconds takes, over a bare `fit` of the same
  model (at most 1.1); the model brings its own `fit`, so both train alike
- how the most memory of the second half of 200 trials compares to the first
  half's (at most 1.15), and memory and time of KerasTuner's own `search` on
  the same space
"""

import argparse
import json
import statistics
import sys
import tempfile
import time

import numpy as np
import psutil
from apart import measured_apart

GAIN, OVERHEAD, GROWTH = 1.6, 1.1, 1.15
FIRST = 20  # Trials between looks at the memory.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def data():
    """Returns training and validation pairs: clouds in 64 dimensions."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(10, 64))
    y = rng.integers(0, 10, 1500)
    x = (centres[y] + 2 * rng.normal(size=(1500, 64))).astype("float32")
    return (x[:1200], y[:1200]), (x[1200:], y[1200:])


def build(hp):
    """Returns a model of one of so many widths that few are built twice."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(
                hp.Int("width", 128, 256, step=2), activation="relu"
            ),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    rate = hp.Float("rate", 1e-4, 1e-2, sampling="log")
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy"
    )
    return model


def own_fit_model():
    """Returns a HyperModel whose own `fit` is plain `model.fit`."""
    import keras_tuner

    class OwnFit(keras_tuner.HyperModel):
        def build(self, hp):
            return build(hp)

        def fit(self, hp, model, *args, **kwargs):
            return model.fit(*args, verbose=0, **kwargs)

    return OwnFit()


def megabytes():
    """Returns the memory of this process, and of the largest below it."""
    mine = psutil.Process()
    workers = [
        child.memory_info().rss
        for child in mine.children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]
    return [
        round(size / 2**20)
        for size in (mine.memory_info().rss, max(workers, default=0))
    ]


def ours(trials, epochs, workers, own_fit):
    """Runs our search; returns its seconds from the first trial on.

    With a `fit` of its own it is the default model so many times.
    """
    from keras_regimen.recipes.harness import search
    from keras_regimen.recipes.harness.tuning.reporter import Silent

    class Watch(Silent):
        def __init__(self):
            self.began = self.ended = 0.0
            self.count = 0
            self.memory = {}

        def started(self, cell):
            self.began = self.began or time.perf_counter()

        def finished(self, row):
            if row["status"] != "done":
                raise RuntimeError(row["error"])
            self.ended = time.perf_counter()
            self.count += 1
            if self.count % FIRST == 0:
                self.memory[self.count] = megabytes()

    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        search(
            own_fit_model() if own_fit else build,
            data(),
            name="benchmark",
            settings={"width": 128, "rate": 1e-4} if own_fit else {},
            trials=1 if own_fit else trials,
            seeds=trials if own_fit else 1,
            epochs=epochs,
            rerun=0,
            workers=workers,
            out=folder,
            reporter=watch,
        )
    return {"seconds": watch.ended - watch.began, "memory": watch.memory}


def keras_tuners(trials, epochs):
    """Runs KerasTuner's own search, one process as it comes."""
    import keras_tuner

    memory, count = {}, 0

    class Watched(keras_tuner.RandomSearch):
        def _configure_tensorboard_dir(self, *arguments):
            """TensorFlow no longer brings it, and every trial would fail."""

        def on_trial_end(self, trial):
            nonlocal count
            super().on_trial_end(trial)
            count += 1
            if count % FIRST == 0:
                memory[count] = megabytes()

    train, validation = data()
    with tempfile.TemporaryDirectory() as folder:
        tuner = Watched(
            build,
            "val_loss",
            max_trials=trials,
            seed=1,
            directory=folder,
        )
        began = time.perf_counter()
        tuner.search(
            *train, epochs=epochs, validation_data=validation, verbose=0
        )
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "memory": memory}


def bare(trials, epochs):
    """Fits as many models by `model.fit`, in one process."""
    import keras_tuner

    train, validation = data()
    seconds = []
    for _ in range(trials):
        began = time.perf_counter()
        model = build(keras_tuner.HyperParameters())
        model.fit(*train, epochs=epochs, validation_data=validation, verbose=0)
        seconds.append(time.perf_counter() - began)
    return {"seconds": sum(seconds)}


def job(*arguments):
    """Runs one of the functions above in a fresh process of one thread."""
    return measured_apart(
        __file__, "--job", json.dumps(arguments), **ONE_THREAD
    )


def show(name, ratio, bound, least=False):
    """Prints a ratio beside its bound; returns whether it is kept."""
    kept = ratio >= bound if least else ratio <= bound
    words = "at least" if least else "at most"
    verdict = "" if kept else "  MISSED"
    print(f"{name:<46} {ratio:5.2f}  ({words} {bound}){verdict}", flush=True)
    return kept


def growth(memory, which):
    """Returns the most of the second half of a search over the first's.

    Workers are replaced after so many models, so that theirs is a saw.
    """
    sizes = [memory[count][which] for count in sorted(memory, key=int)]
    half = len(sizes) // 2
    return max(sizes[half:]) / max(sizes[:half])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=2)
    parts = ("trial", "workers", "memory")
    parser.add_argument("--only", choices=parts, nargs="+", default=parts)
    parser.add_argument("--job")
    options = parser.parse_args()
    if options.job:
        name, *arguments = json.loads(options.job)
        print(json.dumps(globals()[name](*arguments)))
        return 0
    kept = []
    if "trial" in options.only:
        # A first `fit` traces and warms up: the rate is that of the others.
        short, long = (job("bare", 1, n)["seconds"] for n in (10, 60))
        epochs = max(1, round(options.seconds / ((long - short) / 50)))
        print(f"a trial of {options.seconds:g} s has {epochs} epochs")
        ratios = []
        for _ in range(options.rounds):
            plain = job("bare", 3, epochs)["seconds"]
            ratios.append(job("ours", 3, epochs, 1, True)["seconds"] / plain)
        ratio = statistics.median(ratios)
        kept.append(show("our trial over a bare fit", ratio, OVERHEAD))
    if "workers" in options.only:
        gains = []
        for _ in range(options.rounds):
            one, two = (
                job("ours", 16, 150, workers, False)["seconds"]
                for workers in (1, 2)
            )
            gains.append(one / two)
        words = "two workers over one, trials a second"
        kept.append(show(words, statistics.median(gains), GAIN, least=True))
    if "memory" in options.only:
        mine = job("ours", options.trials, 2, 1, False)
        for name, which in (("parent", 0), ("worker", 1)):
            words = f"most memory of the {name}, second half over first"
            kept.append(show(words, growth(mine["memory"], which), GROWTH))
        print(f"ours:        {mine['seconds']:.0f} s, {mine['memory']}")
        theirs = job("keras_tuners", options.trials, 2)
        print(f"KerasTuner:  {theirs['seconds']:.0f} s, {theirs['memory']}")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
