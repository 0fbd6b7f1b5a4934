"""What the monitors that measure on a probe batch have in common."""

import contextlib
import logging
import os
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from ..check_count import check_count
from .monitor_log import MonitorLog


class ProbeMonitor(keras.callbacks.Callback):
    """Base of the callbacks that measure on a probe batch, and only look.

    At the end of the first epoch, and of every so many after it, a subclass
    measures. Which epochs these are depends on their numbers alone, so that a
    training that goes on measures as one that was not interrupted. Its
    `_prepare()`, called once in a training before the first measurement,
    returns a function from the probe to figures by name; its
    `evaluate(figures)` returns what they say, in sentences. Nothing that
    training goes by is changed: the weights are, to the bit, those of a
    training without the monitor.

    Args:
        probe: Tuple of inputs and, maybe, targets, a batch of each.
        every: Positive integer. Epochs from one measurement to the next.
        csv: Optional path of a table, a row for each measurement.
        log_dir: Optional path of a folder for TensorBoard.
        verbose: `1` to print what the figures say, `0` for silence.

    Attributes:
        figures: Dictionary from the measured epochs to figures by name.
        problems: Dictionary from the epochs with problems to sentences.

    Raises:
        ValueError: If an argument is none of those.
    """

    def __init__(
        self,
        probe: tuple,
        every: int,
        csv: str | os.PathLike | None,
        log_dir: str | os.PathLike | None,
        verbose: int,
    ):
        super().__init__()
        check_count("every", every, at_least=1)
        for name, arrays in zip("xy", probe, strict=False):
            sizes = {
                len(array) if np.ndim(array) else 0
                for array in tree.flatten(arrays)
            }
            if len(sizes) != 1 or 0 in sizes:
                raise ValueError(
                    f"`{name}` must be a batch: an array, or a structure of "
                    "arrays, of as many samples each, at least one. "
                    f"Received: {name} of {sorted(sizes)} samples"
                )
        self.probe = probe
        self.every = every
        self.verbose = verbose
        self.figures: dict[int, dict[str, float]] = {}
        self.problems: dict[int, list[str]] = {}
        self._log = MonitorLog(csv, log_dir)
        self._measure: Callable[..., dict[str, float]] | None = None

    def _prepare(self) -> Callable[..., dict[str, float]]:
        raise NotImplementedError

    def evaluate(self, figures: Mapping[str, float]) -> list[str]:
        """Returns what the figures of a measurement say.

        Args:
            figures: Mapping from names to numbers.

        Returns:
            List of sentences, empty where nothing is wrong.
        """
        raise NotImplementedError

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.figures, self.problems = {}, {}
        self._measure = None
        self._log.begin(self.model)

    def on_epoch_end(
        self, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        figures = {}
        if epoch % self.every == 0:
            with _random_state_kept():
                if self._measure is None:
                    self._measure = self._prepare()
                figures = self._measure(
                    *tree.map_structure(ops.convert_to_tensor, self.probe)
                )
            self.figures[epoch] = figures
            problems = self.evaluate(figures)
            if problems:
                self.problems[epoch] = problems
            self._say(epoch, problems)
        if self.figures:
            names = list(next(iter(self.figures.values())))
            self._log.write(epoch, names, figures)

    def _say(self, epoch: int, sentences: list[str]) -> None:
        if not self.verbose:
            return
        for sentence in sentences:
            message = f"Epoch {epoch + 1}: {sentence}"
            if keras.config.is_interactive_logging_enabled():
                print(message, flush=True)
            else:
                logging.getLogger(__name__).info(message)


@contextlib.contextmanager
def _random_state_kept() -> Iterator[None]:
    # Python's own gives the seeds of what is made without one, PyTorch's the
    # masks of dropout without a seed.
    kept, kept_by_torch = random.getstate(), None
    if keras.config.backend() == "torch":
        from ..stopping._torch import random_state

        kept_by_torch = random_state()
    try:
        yield
    finally:
        random.setstate(kept)
        if keras.config.backend() == "torch":
            from ..stopping._torch import set_random_state

            set_random_state(kept_by_torch)
