"""The error that every recipe logs, whatever its script compiles."""

import functools
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_regimen")
class ErrorRate(keras.metrics.MeanMetricWrapper):
    """The share of wrong predictions: 1 - accuracy.

    Args:
        threshold: Optional float. A binary prediction is 1 above it: 0 for
            logits, 0.5 for probabilities. None compares classes, the
            prediction being the largest of the last axis.
        name: String. Defaults to `"error"`.
        dtype: Optional. As of `keras.metrics.Metric`.

    Call arguments:
        y_true: Labels: `(batch, 1)` of 0 and 1 with a threshold, else
            integers of shape `(batch, ...)`.
        y_pred: Predictions: `(batch, 1)`, else `(batch, ..., classes)`.
    """

    def __init__(
        self,
        threshold: float | None = None,
        name: str = "error",
        dtype: Any = None,
    ):
        super().__init__(fn=self._wrong, name=name, dtype=dtype)
        self.threshold = threshold

    def _wrong(self, y_true: Any, y_pred: Any) -> Any:
        if self.threshold is None:
            label = ops.cast(y_true, "int32")
            chosen = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        else:
            label = y_true > 0.5
            chosen = y_pred > self.threshold
        return ops.cast(ops.not_equal(label, chosen), self.dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold,
            "name": self.name,
            "dtype": self.dtype,
        }


@contextmanager
def error_logged(target: str | None) -> Iterator[None]:
    """Adds the error to each single-output model compiled in the context.

    It is added as the model is compiled, so that it is computed inside the
    training step: `error` for `"binary"` and `"classes"`, `rmse` for
    `"real"`. A metric of that name which the script brings stands.

    Args:
        target: String. `"binary"`, `"classes"` or `"real"`; None adds none.
    """
    if target is None:
        yield
        return
    owner = next(c for c in keras.Model.__mro__ if "compile" in vars(c))
    compile_ = owner.compile
    signature = inspect.signature(compile_)

    @functools.wraps(compile_)
    def compile_with_error(model, *args, **kwargs):
        bound = signature.bind(model, *args, **kwargs)
        metrics = bound.arguments.get("metrics") or []
        if isinstance(metrics, list | tuple):
            metric = _metric(target, bound.arguments.get("loss"))
            names = [getattr(m, "name", m) for m in metrics]
            if metric.name not in names:
                bound.arguments["metrics"] = [*metrics, metric]
        return compile_(*bound.args, **bound.kwargs)

    owner.compile = compile_with_error
    try:
        yield
    finally:
        owner.compile = compile_


def _metric(target: str, loss: Any) -> keras.metrics.Metric:
    if target == "real":
        return keras.metrics.RootMeanSquaredError(name="rmse")
    if target == "classes":
        return ErrorRate()
    name = getattr(loss, "name", loss)
    signed = isinstance(name, str) and "hinge" in name
    logits = getattr(loss, "from_logits", False) or signed
    return ErrorRate(threshold=0.0 if logits else 0.5)
