"""A computation, set up in a process and around a cell."""

import contextlib
import functools
import inspect
from collections.abc import Iterator
from typing import Any

import keras

from .computation import Computation


def set_up(computation: Computation) -> None:
    """Sets up this process for a computation, before anything is computed.

    May be called again. Determinism stays until the process ends.

    Raises:
        RefusalError: If the process does not have the devices.
    """
    backend = keras.backend.backend()
    computation.on(backend)
    if computation.deterministic and backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif computation.deterministic and backend == "torch":
        import torch

        torch.use_deterministic_algorithms(True)
    _strategy(computation)


@contextlib.contextmanager
def computing(computation: Computation) -> Iterator[None]:
    """Builds and trains models as a computation says.

    To be opened after `keras.utils.clear_session`, which throws away what is
    set here, and for building and for training alike.

    Example:

    >>> with computing(Computation(precision="mixed_bfloat16")):
    ...     keras.layers.Dense(3).compute_dtype
    'bfloat16'
    """
    before = keras.config.dtype_policy()
    with contextlib.ExitStack() as stack:
        if computation.precision != before.name:
            stack.callback(keras.config.set_dtype_policy, before)
            keras.config.set_dtype_policy(computation.precision)
        if computation.jit is not None:
            stack.enter_context(_compiled(computation.jit))
        strategy = _strategy(computation)
        if strategy is not None:
            stack.enter_context(strategy.scope())
        yield


def _strategy(computation: Computation) -> Any:
    """Returns what has a `scope()` of several devices, or None."""
    if computation.strategy is None:
        return None
    devices = computation.with_devices(gpus=0).devices or 0
    if computation.strategy == "mirrored":
        from .mirrored import mirrored

        return mirrored(devices)
    from .data_parallel import data_parallel

    return data_parallel(devices)


@contextlib.contextmanager
def _compiled(jit: bool) -> Iterator[None]:
    """Compiles models by XLA, or not, where a script leaves that to Keras."""
    owner = next(c for c in keras.Model.__mro__ if "compile" in vars(c))
    compile_ = owner.compile

    signature = inspect.signature(compile_)

    @functools.wraps(compile_)
    def compile_as_asked(model: Any, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(model, *args, **kwargs)
        if bound.arguments.get("jit_compile", "auto") == "auto":
            bound.arguments["jit_compile"] = jit
        return compile_(*bound.args, **bound.kwargs)

    owner.compile = compile_as_asked
    try:
        yield
    finally:
        owner.compile = compile_
