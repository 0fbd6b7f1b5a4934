"""What the curves of a training say: too little, too much, or well?"""

import logging
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from .diagnose import Diagnosis, check_bounds, diagnose


class FitDiagnosis(keras.callbacks.Callback):
    """Says at the end of training what its curves show.

    Use it to learn whether a net needs more capacity or training, or less, or
    other labels. The diagnosis is that of the function `diagnose`; it stands
    in the attribute `diagnosis` and in `history.params["fit_diagnosis"]`.

    Args:
        reference: Optional float. The loss of a model that has learned
            nothing, such as `log(classes)`, or the targets' variance. By
            default the training loss of the first epoch, which is too low
            where a first epoch teaches much.
        target: Float. The loss one would be content with: with noisy labels,
            the least that is possible. Defaults to `0.0`.
        underfitting: Float, `0.5` by default, as in `diagnose`.
        gap: Float, `0.2` by default, as in `diagnose`.
        turn: Float, `0.1` by default, as in `diagnose`.
        divergence: Float, `0.5` by default, as in `diagnose`.
        label_noise: Float, `0.05` by default, as in `diagnose`.
        verbose: `1` to print the sentence, `0` for silence. Defaults to `1`.

    Attributes:
        diagnosis: A `Diagnosis`, or `None` before the end of a training.

    Raises:
        ValueError: If an argument is outside its range. Where the curves
            allow no diagnosis, for want of validation, a warning says so.

    Example:

    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x = keras.ops.ones((8, 2))
    >>> doctor = FitDiagnosis(verbose=0)
    >>> history = model.fit(
    ...     x, 5 * x[:, :1], epochs=20, validation_data=(x, 5 * x[:, :1]),
    ...     verbose=0, callbacks=[doctor],
    ... )
    >>> doctor.diagnosis.word
    'good fit'

    Reference:

    - Goodfellow, Bengio and Courville, Deep Learning, 2016, sections 5.2 and
      11.3, on under- and overfitting; Arpit et al., "A Closer Look at
      Memorization in Deep Networks",
      [2017](https://arxiv.org/abs/1706.05394), on noisy labels, which a net
      learns last and at the expense of its validation accuracy. The bounds
      are ours.
    """

    def __init__(
        self,
        reference: float | None = None,
        target: float = 0.0,
        underfitting: float = 0.5,
        gap: float = 0.2,
        turn: float = 0.1,
        divergence: float = 0.5,
        label_noise: float = 0.05,
        verbose: int = 1,
    ):
        super().__init__()
        self.arguments: dict[str, Any] = {
            "reference": reference,
            "target": target,
            "underfitting": underfitting,
            "gap": gap,
            "turn": turn,
            "divergence": divergence,
            "label_noise": label_noise,
        }
        check_bounds(**self.arguments)
        self.verbose = verbose
        self.diagnosis: Diagnosis | None = None
        self._curves: dict[str, list[float]] = {}

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.diagnosis = None
        self._curves = {}

    def on_epoch_end(
        self, epoch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        for name, value in (logs or {}).items():
            if np.size(value) == 1:
                self._curves.setdefault(name, []).append(float(value))

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if not self._curves:
            return
        try:
            self.diagnosis = diagnose(self._curves, **self.arguments)
        except ValueError as error:
            # Not as an error, which would cost the user all of `fit`.
            warnings.warn(f"no diagnosis: {error}", stacklevel=2)
            return
        if self.params is not None:
            # The very dictionary that `History` has.
            self.params["fit_diagnosis"] = self.diagnosis
        if not self.verbose:
            return
        message = f"{self.diagnosis.word}: {self.diagnosis.sentence}"
        if keras.config.is_interactive_logging_enabled():
            print(message, flush=True)
        else:
            logging.getLogger(__name__).info(message)
