"""`model.evaluate` on arrays, in one compiled call that changes nothing."""

import contextlib
from typing import Any

import keras

from ._batches import as_data, in_order
from ._checks import check_arguments
from ._compiled_fit import compiled, engine
from ._logs import as_floats
from .why_plain_fit import why_not_compiled


def evaluate_in_memory(
    model: keras.Model,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
) -> dict[str, float]:
    """Evaluates a model on arrays in one compiled call, and leaves no trace.

    Use it in a callback's `on_epoch_end`, to log metrics on further data. The
    result is that of `model.evaluate(..., return_dict=True)`, but training goes
    on as if nothing had been: metrics are reset, and what inference changes (a
    recurrent layer with dropout draws seeds even then) is put back. Where no
    compiled call is possible, `model.evaluate` is used.

    Args:
        model: A compiled `keras.Model`.
        x: Input array, or a list, tuple or dict of them.
        y: Target array or arrays.
        sample_weight: Array of weights, one per sample (or time step).
        batch_size: Integer, at least 1. Defaults to 32.

    Returns:
        Dict of metrics by name.

    Raises:
        ValueError: If the model is not compiled, arrays are empty or differ in
            length, or `batch_size` is less than 1.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, y = keras.ops.ones((8, 2)), keras.ops.ones((8, 1))
    >>> list(evaluate_in_memory(model, x, y))
    ['loss']
    """
    arrays = {"x": x, "y": y, "sample_weight": sample_weight}
    check_arguments(model, {**arrays, "batch_size": batch_size})
    methods = ("evaluate", "make_test_function")
    if why_not_compiled(model, methods, **arrays) is not None:
        kept = [keras.ops.copy(v) for v in model.non_trainable_variables]
        with _kept_global_state():
            logs = model.evaluate(
                **arrays, batch_size=batch_size, verbose=0, return_dict=True
            )
        # A model that was not built before has more variables now.
        for variable, value in zip(
            model.non_trainable_variables, kept, strict=False
        ):
            variable.assign(value)
        model.reset_metrics()
        return logs
    data, batches = in_order(as_data(**arrays), batch_size or 32)
    engine().prepare(model, data, batches.indices.shape[1])
    return as_floats(compiled(model, "evaluation")(data, batches))


def _kept_global_state() -> contextlib.AbstractContextManager:
    if keras.config.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    # A data loader draws a seed, even for workers that it does not have.
    return torch.random.fork_rng()
