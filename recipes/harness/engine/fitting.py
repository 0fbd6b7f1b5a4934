"""The `fit` of a cell: the recipe's settings in, one history out."""

import math
import time
import warnings
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from ....custom_models._batches import is_array, leaves
from ....custom_models.evaluate_in_memory import evaluate_in_memory
from ....custom_models.fit_in_memory import fit_in_memory
from ....custom_models.why_plain_fit import why_plain_fit
from ..contract.hyperparameters import HyperParameters
from ..contract.recipe import FitSettings, resolve
from ..contract.splits import Splits
from ..contract.streamed_splits import StreamedRows, StreamedSplits
from ..refusal import RefusalError
from .budget import Budget
from .computation import Computation
from .end_hopeless import EndHopeless
from .limits import why_refused
from .memory_rows import MemoryRows
from .news import Teller
from .streamed_fit import streamed_fit
from .tell_epochs import TellEpochs

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
        budget: Budget | None = None,
        watch_test: bool = True,
        computation: Computation | None = None,
        teller: Teller | None = None,
    ):
        budget = budget or Budget()
        self.splits = splits
        self.computation = computation or Computation()
        self.epochs = budget.epochs or resolve(settings.epochs, hp)
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
        self.undivided = 0
        self.watch_test = watch_test
        self.teller = teller
        self.rule: EndHopeless | None = None
        if budget.medians and budget.watched is not None:
            self.rule = EndHopeless(
                budget.watched, budget.medians, budget.better
            )

    def can_go_on(self, model: keras.Model) -> bool:
        """Whether training may end and go on later as if it had not.

        Not with callbacks, whose state is their own; where an epoch's order
        depends on the one before it; or where Keras fits by itself.
        """
        return (
            self.steps is None
            and not self.splits.streamed
            and not self.callbacks()
            and self.rule is None
            and why_plain_fit(model, *self.splits.train) is None
        )

    def state(self) -> dict[str, Any]:
        """Returns what goes on where another fitting of the cell ended."""
        return {
            "order": self.order.bit_generator.state,
            "curves": self.curves,
            "phases": self.phases,
            "seconds": self.seconds,
            "updates": self.updates,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state: the next `fit` begins at its last epoch."""
        self.order.bit_generator.state = state["order"]
        self.curves = state["curves"]
        self.phases = state["phases"]
        self.seconds = state["seconds"]
        self.updates = state["updates"]

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
        replicas = self.computation.replicas
        evaluation_batch = batch_of_evaluation(
            self.splits.counts["validation"], replicas
        )
        if isinstance(validation, StreamedRows):
            validation = validation.batches(evaluation_batch)
        batch_size = batch_size or self.batch_size
        epochs = epochs or self.epochs
        if why := why_refused(model, self.computation, batch_size):
            raise RefusalError(why)
        test = self.splits.test if self.watch_test else None
        watch = _TestCurve(test, replicas)
        own = self.callbacks() if callbacks is None else callbacks
        arguments = {
            "batch_size": batch_size,
            "epochs": epochs,
            "verbose": 0,
            "callbacks": [watch, *own, *self.watchers()],
            "validation_data": validation,
            "validation_batch_size": evaluation_batch,
            "steps_per_epoch": self.steps,
            "shuffle": self.order,
            **options,
        }
        with warnings.catch_warnings():
            # The row says so, once for all warnings.
            warnings.filterwarnings("ignore", message="`fit_in_memory` trains")
            history = self._fitted(model, x, y, **arguments)
        self.plain_fit = history.params.get("plain_fit")
        self.jit = bool(model.jit_compile)
        steps = self.steps or math.ceil(len(x) / batch_size)
        updates = len(watch.seconds) * steps
        self.updates += updates
        self.undivided += self._undivided(len(x), batch_size, updates)
        logs = {**history.history, **watch.curves}
        self.record(logs, watch.seconds, phase)
        return history

    def record(
        self,
        logs: Mapping[str, Sequence[float]],
        seconds: Sequence[float],
        phase: str | None = None,
    ) -> None:
        """Appends a stretch of training to the history.

        Args:
            logs: The curves of its epochs, by name.
            seconds: The CPU seconds of each of its epochs.
            phase: Optional name of the stretch.
        """
        ran = len(seconds)
        self.phases.append([phase or f"fit {len(self.phases) + 1}", ran])
        self.seconds += seconds
        done = sum(epochs for _, epochs in self.phases[:-1])
        for name, values in logs.items():
            curve = self.curves.setdefault(name, [math.nan] * done)
            curve += [single(v) for v in values]
        for curve in self.curves.values():
            curve += [math.nan] * (done + ran - len(curve))

    def watchers(self) -> list[keras.callbacks.Callback]:
        """Returns a search's own callbacks, for the next fit.

        They come last, and see what others have written into the logs.
        """
        found: list[keras.callbacks.Callback] = []
        if self.rule is not None:
            found.append(self.rule)
        if self.teller is not None:
            done = len(self.seconds)
            found.append(
                TellEpochs(
                    self.teller, self.curves, done, self._steps_per_epoch
                )
            )
        return found

    @property
    def _steps_per_epoch(self) -> int:
        rows = self.splits.counts["train"]
        return self.steps or math.ceil(rows / self.batch_size)

    def _fitted(
        self, model: keras.Model, x: Any, y: Any, **arguments: Any
    ) -> keras.callbacks.History:
        if self.computation.strategy == "mirrored":
            arguments["devices"] = self.computation.replicas
            if not isinstance(x, StreamedRows):
                if not all(map(is_array, leaves((x, y)))):
                    raise RefusalError(
                        "under mirrored the harness shares arrays out. "
                        f"Received: x={type(x).__name__}"
                    )
                x = MemoryRows(x, y, arguments.pop("sample_weight", None))
                arguments["reason"] = "the model trains under mirrored"
        if isinstance(x, StreamedRows | MemoryRows):
            return streamed_fit(model, x, **arguments)
        return fit_in_memory(model, x, y, **arguments)

    def _undivided(self, rows: int, batch_size: int, updates: int) -> int:
        """Returns how many updates every device computed whole."""
        rest = rows % batch_size
        if not rest or not rest % (self.computation.devices or 1):
            return 0
        # It is the last batch of each pass.
        return updates // math.ceil(rows / batch_size)

    def figures(self) -> dict[str, Any]:
        steps = self._steps_per_epoch
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
            **self._ending(),
            **self._shared(),
            "cost": {
                "epoch_cpu_seconds": round(epoch, 5),
                "fit_cpu_seconds": round(epoch * len(self.seconds), 3),
            },
        }

    def _ending(self) -> dict[str, Any]:
        ended = self.rule and self.rule.ended
        return {"ended": ended} if ended else {}

    def _shared(self) -> dict[str, Any]:
        if self.computation.strategy is None:
            return {}
        return {"undivided_batches": self.undivided}


class _TestCurve(keras.callbacks.Callback):
    """Evaluates the test data each epoch, out of other callbacks' sight."""

    def __init__(self, test: Any, replicas: int = 1):
        super().__init__()
        self.test = test
        self.replicas = replicas
        self.curves: dict[str, list[float]] = {}
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = time.process_time()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.process_time() - self._started)
        if self.test is None:
            return
        logs = evaluated(self.model, self.test, self.replicas)
        for name, figure in logs.items():
            self.curves.setdefault(f"test_{name}", []).append(figure)


def evaluated(
    model: keras.Model, part: Any, replicas: int = 1
) -> dict[str, float]:
    """Returns the metrics of a model on a part of the rows, by name.

    Args:
        model: A compiled `keras.Model`.
        part: The rows, `StreamedRows` or a pair of arrays.
        replicas: Integer. The copies of the model under a strategy.
    """
    if isinstance(part, StreamedRows):
        batch_size = batch_of_evaluation(len(part), replicas)
        return evaluate_in_memory(model, part.batches(batch_size))
    x, y = part
    batch_size = batch_of_evaluation(len(x), replicas)
    return evaluate_in_memory(model, x, y, batch_size=batch_size)


def batch_of_evaluation(rows: int, replicas: int) -> int:
    """Returns how many rows a batch of an evaluation has.

    Keras fails under `MirroredStrategy` where the first one does not divide.
    The last one need not, but some layers fail on a replica without rows.

    >>> batch_of_evaluation(33, replicas=1), batch_of_evaluation(33, replicas=2)
    (1024, 30)
    """
    if replicas == 1:
        return EVALUATION_BATCH
    most = min(rows, EVALUATION_BATCH)
    most = most - most % replicas or most
    for size in range(most, 0, -replicas):
        last = rows % size
        if not last or -(-last // replicas) * (replicas - 1) < last:
            return size
    return most


def single(value: Any) -> float:
    """Returns the shortest decimal that is the same float32."""
    return float(str(np.float32(value)))
