"""The `fit` of a cell: the recipe's settings in, one history out."""

import math
import time
import warnings
import zlib
from functools import partial
from typing import Any

import keras
import numpy as np

from ....custom_models.evaluate_in_memory import evaluate_in_memory
from ....custom_models.fit_in_memory import fit_in_memory
from ..contract.hyperparameters import HyperParameters
from ..contract.recipe import FitSettings, resolve
from ..contract.splits import Splits
from ..contract.streamed_splits import StreamedRows, StreamedSplits
from .streamed_fit import streamed_fit

AnySplits = Splits | StreamedSplits

# Evaluation wants few calls, and memory for no more rows than this.
EVALUATION_BATCH = 1024


class Fitting:
    """The `fit` that a recipe's `train` calls, and the history of it all."""

    def __init__(
        self,
        settings: FitSettings,
        hp: HyperParameters,
        splits: AnySplits,
        seed: int,
    ):
        self.splits = splits
        self.epochs = resolve(settings.epochs, hp)
        self.batch_size = resolve(settings.batch_size, hp)
        self.steps = resolve(settings.steps_per_epoch, hp)
        self.callbacks = partial(resolve, settings.callbacks, hp)
        # The order of the rows is the same for every arm.
        self.order = np.random.default_rng([seed, zlib.crc32(b"order")])
        self.curves: dict[str, list[float]] = {}
        self.phases: list[list] = []
        self.seconds: list[float] = []
        self.updates = 0
        self.plain_fit: str | None = None
        self.jit = False

    def fit(
        self,
        model: keras.Model,
        x: Any = None,
        y: Any = None,
        epochs: int | None = None,
        phase: str | None = None,
        callbacks: list | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> keras.callbacks.History:
        """Fits `model` on the training data (or `x`, `y`), and records it.

        Args:
            model: A compiled `keras.Model`.
            x: Inputs, the training inputs by default.
            y: Targets, the training targets by default.
            epochs: Integer, the recipe's own by default.
            phase: Optional name of this stretch of the history.
            callbacks: List, the recipe's own by default.
            batch_size: Integer, the recipe's own by default.
            **options: More arguments of `keras.Model.fit`.

        Returns:
            The `History` of this call.
        """
        if x is None:
            x = self.splits.train
            if not isinstance(x, StreamedRows):
                x, y = x
        validation: Any = self.splits.validation
        if isinstance(validation, StreamedRows):
            validation = validation.batches(EVALUATION_BATCH)
        batch_size = batch_size or self.batch_size
        epochs = epochs or self.epochs
        watch = _TestCurve(self.splits.test)
        own = self.callbacks() if callbacks is None else callbacks
        arguments = {
            "batch_size": batch_size,
            "epochs": epochs,
            "verbose": 0,
            "callbacks": [watch, *own],
            "validation_data": validation,
            "validation_batch_size": EVALUATION_BATCH,
            "steps_per_epoch": self.steps,
            "shuffle": self.order,
            **options,
        }
        with warnings.catch_warnings():
            # The row says so, once for all warnings.
            warnings.filterwarnings("ignore", message="`fit_in_memory` trains")
            if isinstance(x, StreamedRows):
                history = streamed_fit(model, x, **arguments)
            else:
                history = fit_in_memory(model, x, y, **arguments)
        self.plain_fit = history.params.get("plain_fit")
        self.jit = bool(model.jit_compile)
        logs = {**history.history, **watch.curves}
        ran = len(watch.seconds)
        steps = self.steps or math.ceil(len(x) / batch_size)
        self.updates += ran * steps
        self.phases.append([phase or f"fit {len(self.phases) + 1}", ran])
        self.seconds += watch.seconds
        done = sum(epochs for _, epochs in self.phases[:-1])
        for name, values in logs.items():
            curve = self.curves.setdefault(name, [math.nan] * done)
            curve += [single(v) for v in values]
        for curve in self.curves.values():
            curve += [math.nan] * (done + ran - len(curve))
        return history

    def figures(self) -> dict[str, Any]:
        steps = self.steps or math.ceil(
            self.splits.counts["train"] / self.batch_size
        )
        evaluations = self.curves.get("evaluations")
        # The first epoch of a compiled arm pays for the tracing.
        epoch = float(np.median(self.seconds)) if self.seconds else math.nan
        return {
            "curves": self.curves,
            "phases": self.phases,
            "epochs": len(self.seconds),
            "steps_per_epoch": steps,
            "budget": self.epochs * steps,
            "updates": self.updates,
            "evaluations": sum(evaluations) if evaluations else self.updates,
            "plain_fit": self.plain_fit,
            "jit": self.jit,
            "cost": {
                "epoch_cpu_seconds": round(epoch, 5),
                "fit_cpu_seconds": round(epoch * len(self.seconds), 3),
            },
        }


class _TestCurve(keras.callbacks.Callback):
    """Evaluates the test data each epoch, out of other callbacks' sight."""

    def __init__(self, test: Any):
        super().__init__()
        self.test = test
        self.curves: dict[str, list[float]] = {}
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = time.process_time()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.process_time() - self._started)
        for name, figure in evaluated(self.model, self.test).items():
            self.curves.setdefault(f"test_{name}", []).append(figure)


def evaluated(model: keras.Model, part: Any) -> dict[str, float]:
    """Returns the metrics of a model on a part of the rows, by name."""
    if isinstance(part, StreamedRows):
        return evaluate_in_memory(model, part.batches(EVALUATION_BATCH))
    x, y = part
    return evaluate_in_memory(model, x, y, batch_size=EVALUATION_BATCH)


def single(value: Any) -> float:
    """Returns the shortest decimal that is the same float32."""
    return float(str(np.float32(value)))
