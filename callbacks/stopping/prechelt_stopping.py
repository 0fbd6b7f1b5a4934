"""Prechelt's stopping criteria: generalization loss, progress, strips."""

import math
from collections import deque
from collections.abc import Mapping
from numbers import Real
from typing import Any

from ..check_count import check_count
from .monitored_metric import metric_direction, read_metric
from .prechelt_criteria import (
    generalization_loss,
    progress_quotient,
    training_progress,
)
from .stopping_callback import StoppingCallback


class PrecheltStopping(StoppingCallback):
    """Stops training by one of Prechelt's three criteria.

    Use it where a validation curve has several minima and a fixed patience
    stops at the wrong one. With `E_va` and `E_tr` the validation and training
    errors, `E_opt(t)` the lowest validation error up to epoch `t`, and strips
    of `k` epochs:

    - `"GL"` stops after the first epoch whose generalization loss
      `GL(t) = 100 (E_va(t) / E_opt(t) - 1)`, in per cent, exceeds
      `threshold`.
    - `"PQ"` stops after the first strip at whose end the quotient
      `GL(t) / P_k(t)` exceeds `threshold`. `P_k(t) = 1000 (mean E_tr / min
      E_tr - 1)`, over the last strip, is the training progress in per mille:
      while training still moves fast, the validation error may recover.
    - `"UP"` stops when the validation error at the end of a strip lay above
      that at the end of the strip before, in `threshold` successive strips.

    The weights of the epoch with the lowest validation error are put back, as
    the paper does; on Ctrl-C and `with stopper:` as for `EarlyStopping`. The
    reason of a stop is in `reason` and `history.params["stop_reason"]`.

    Args:
        criterion: `"GL"`, `"PQ"` or `"UP"`.
        threshold: For `"GL"` and `"PQ"` the paper's alpha, a float of 0 or
            more (it tries 1 to 5 per cent for GL, 0.5 to 3 for PQ). For
            `"UP"` its number of strips s, an integer of 1 or more (2 to 8).
        strip: Integer, the length k of a strip in epochs: 1 or more, for
            `"PQ"` 2 or more. `"GL"` needs none. With `validation_freq=n` it
            must be a multiple of `n`. Defaults to `5`.
        monitor: String. The validation error in the logs, lower is better;
            for `"GL"` and `"PQ"` it must not be negative, since they are
            ratios. Defaults to `"val_loss"`.
        train_monitor: String. The training error in the logs, which `"PQ"`
            alone needs. Defaults to `"loss"`.
        restore: What to put back at the end of training from the best epoch:
            `"weights"`, `"training_state"` (as `EarlyStopping` explains) or
            `None`. Defaults to `"weights"`.
        verbose: `0` for silence, `1` for a message with the reason of a stop
            and the epoch that is restored. Defaults to `0`.

    Raises:
        ValueError: If an argument is none of those, and, at the end of an
            epoch, if a metric is not logged, is better the higher, or is
            negative where a ratio is taken.

    Example:

    >>> stopper = PrecheltStopping("GL", threshold=20)
    >>> [stopper.evaluate(error)[0] for error in (1.0, 0.5, 0.55, 0.65)]
    [False, False, False, True]
    >>> stopper = PrecheltStopping("UP", threshold=2, strip=1)
    >>> [stopper.evaluate(error) for error in (0.4, 0.5, 0.6)][-1]
    (True, '`val_loss` rose in 2 successive strips of 1 epochs, to 0.6')

    Reference:

    - Prechelt, Early Stopping - But When?, 1998, section 2.2
      (https://doi.org/10.1007/3-540-49430-8_3). The paper also ends training
      when the progress falls below 0.1 or after 3000 epochs; here `epochs`
      of `fit` ends it. What it leaves open: NaN counts as an infinite error,
      and in a strip's end as a rise; above a best error of 0 the loss is
      infinite; a training error that does not move makes the quotient
      infinite unless the loss is 0, and one that reaches 0 is infinite
      progress.
    """

    def __init__(
        self,
        criterion: str,
        threshold: float,
        strip: int = 5,
        monitor: str = "val_loss",
        train_monitor: str = "loss",
        restore: str | None = "weights",
        verbose: int = 0,
    ):
        if criterion not in ("GL", "PQ", "UP"):
            raise ValueError(
                '`criterion` must be "GL", "PQ" or "UP". '
                f"Received: criterion={criterion!r}"
            )
        if criterion == "UP":
            check_count("threshold", threshold, at_least=1)
        elif not isinstance(threshold, Real) or not 0 <= threshold < math.inf:
            raise ValueError(
                f"`threshold` of {criterion} must be a number, 0 or more. "
                f"Received: threshold={threshold}"
            )
        # The progress within a strip of one epoch is always 0.
        check_count("strip", strip, at_least=2 if criterion == "PQ" else 1)
        self.criterion = criterion
        self.threshold = threshold
        self.strip = strip
        self.train_monitor = train_monitor
        super().__init__(monitor, restore, verbose)
        self._refuse_maximized()

    def reset(self) -> None:
        super().reset()
        self.epochs_seen = 0
        self.rises = 0
        self._strip_end_error: float | None = None
        self._training_errors: deque[float] = deque(maxlen=self.strip)

    def evaluate(
        self,
        validation_error: float | None,
        training_error: float | None = None,
    ) -> tuple[bool, str | None]:
        """Judges the next epoch.

        Args:
            validation_error: Float, or `None` for an epoch without
                validation, which must not be a strip's last.
            training_error: Float. Only `"PQ"` needs it.

        Returns:
            Whether to stop, and the reason, `None` without a stop.
        """
        self.epochs_seen += 1
        if self.criterion == "PQ":
            self._training_errors.append(
                self._usable(self.train_monitor, training_error)
            )
        if validation_error is None:
            return False, None
        error = self._usable(self.monitor, validation_error)
        if error < (math.inf if self.best is None else self.best):
            self.best = error
        if self.criterion == "GL":
            return self._judge_loss(error)
        if not self._ends_strip(self.epochs_seen):
            return False, None
        if self.criterion == "UP":
            return self._judge_rise(error)
        return self._judge_quotient(error)

    def _judge_loss(self, error: float) -> tuple[bool, str | None]:
        loss = generalization_loss(error, self.best)
        return self._stop_if(
            loss > self.threshold,
            f"generalization loss of `{self.monitor}` is {loss:.4g} %, "
            f"above {self.threshold:g} %",
        )

    def _judge_quotient(self, error: float) -> tuple[bool, str | None]:
        loss = generalization_loss(error, self.best)
        progress = training_progress(self._training_errors)
        quotient = progress_quotient(loss, progress)
        return self._stop_if(
            quotient > self.threshold,
            f"generalization loss of `{self.monitor}`, {loss:.4g} %, over the "
            f"training progress, {progress:.4g} per mille, is {quotient:.4g}, "
            f"above {self.threshold:g}",
        )

    def _judge_rise(self, error: float) -> tuple[bool, str | None]:
        before, self._strip_end_error = self._strip_end_error, error
        rose = before is not None and (error > before or error == math.inf)
        self.rises = self.rises + 1 if rose else 0
        return self._stop_if(
            self.rises >= self.threshold,
            f"`{self.monitor}` rose in {self.rises} successive strips of "
            f"{self.strip} epochs, to {error:.6g}",
        )

    def _judge(
        self, epoch: int, logs: Mapping[str, Any]
    ) -> tuple[bool, str | None]:
        ends_strip = self._ends_strip(self.epochs_seen + 1)
        remedy = (
            "pass `validation_data` to `fit`, and with `validation_freq=n` a "
            f"`strip` that is a multiple of n, not {self.strip}"
        )
        error = self._read_monitor(logs, not ends_strip, remedy)
        if error is None and ends_strip and self.criterion != "GL":
            read_metric(self.monitor, logs, False, remedy)
        self._refuse_maximized(self.model)
        if self.criterion != "PQ":
            return self.evaluate(error)
        return self.evaluate(
            error, read_metric(self.train_monitor, logs, False, remedy)
        )

    def _usable(self, name: str, error: float | None) -> float:
        if error is None or (error < 0 and self.criterion != "UP"):
            raise ValueError(
                f"{self.criterion} is made of ratios of errors, which must be "
                '0 or more: use "UP" or monitor another metric. Received: '
                f"{name}={error}"
            )
        return math.inf if math.isnan(error) else error

    def _ends_strip(self, epochs: int) -> bool:
        return epochs % self.strip == 0

    def _refuse_maximized(self, model: Any = None) -> None:
        if metric_direction(self.monitor, model) == "max":
            raise ValueError(
                "`monitor` must be an error, of which lower is better. "
                f"Received: monitor={self.monitor!r}"
            )

    @staticmethod
    def _stop_if(stop: bool, reason: str) -> tuple[bool, str | None]:
        return stop, reason if stop else None
