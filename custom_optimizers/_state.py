"""What optimizers keep for each weight, and the gradients they get."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
from keras import ops

if keras.config.backend() == "tensorflow":
    from ._tensorflow import outside_of_traces
else:  # Other backends build before they trace.
    outside_of_traces = contextlib.nullcontext

_HALF = ("bfloat16", "float16")


def add_slots(
    optimizer: keras.optimizers.Optimizer,
    variables: Iterable[Any],
    name: str,
    initializer: Any = "zeros",
) -> list[keras.Variable]:
    """Returns a new variable of the optimizer for each of the variables.

    They are of the variables' dtype, but float32 where that is a half float:
    a moving average in bfloat16 stops moving where its steps get small.

    Args:
        optimizer: The optimizer that keeps them, in its `build`.
        variables: The model's variables.
        name: String. What they are called after the variable's own name.
        initializer: A Keras initializer, or `"copy"` for the variable's own
            value. Default `"zeros"`.

    Returns:
        A list of variables.
    """
    return [_add_slot(optimizer, v, name, initializer) for v in variables]


def _add_slot(optimizer, variable, name, initializer):
    # Not an `assign` afterwards: on TensorFlow `build` runs inside a trace,
    # and what it assigns is lost. A copy, because JAX donates its buffers, and
    # on PyTorch a value is the variable itself.
    def copied(shape, dtype=None):
        return ops.cast(ops.copy(ops.convert_to_tensor(variable)), dtype)

    if initializer == "copy":
        with outside_of_traces(variable):
            return _create_slot(optimizer, variable, name, copied)
    return _create_slot(optimizer, variable, name, initializer)


def _create_slot(optimizer, variable, name, initializer):
    if keras.backend.standardize_dtype(variable.dtype) not in _HALF:
        return optimizer.add_variable_from_reference(
            variable, name=name, initializer=initializer
        )
    return optimizer.add_variable(
        shape=variable.shape,
        initializer=initializer,
        dtype="float32",
        name=f"{variable.name}_{name}",
    )


def dense(gradient: Any, dtype: str | None = None) -> Any:
    """Returns a gradient as a tensor, if it came as rows of one.

    TensorFlow's gradient of an embedding names the rows that were looked up,
    one of them as often as it was, and only their sum may be squared.

    Args:
        gradient: A tensor, or `tf.IndexedSlices`.
        dtype: String. The dtype of the result. Default: the gradient's own.

    Returns:
        A tensor.
    """
    if hasattr(gradient, "indices") and hasattr(gradient, "dense_shape"):
        gradient = ops.segment_sum(
            gradient.values,
            gradient.indices,
            # XLA wants to know it.
            num_segments=gradient.shape[0] or gradient.dense_shape[0],
        )
    return gradient if dtype is None else ops.cast(gradient, dtype)


def is_bias(variable: Any) -> bool:
    """Returns whether a variable is a bias or a gain, and no kernel.

    By its rank: a `GRU` has a bias of rank 2, which has it in its name.
    """
    return len(variable.shape) < 2 or "bias" in variable.name


def assign_if(
    condition: Any,
    variables: Sequence[keras.Variable],
    values: Callable[[], Sequence[Any]],
) -> None:
    """Assigns values to variables if a condition holds, and skips them if not.

    Args:
        condition: Boolean tensor.
        variables: The variables.
        values: Returns what they are to hold: computed only if it is assigned.
    """

    def current():
        return [ops.convert_to_tensor(v) for v in variables]

    def new():
        pairs = zip(values(), variables, strict=True)
        return [ops.cast(value, v.dtype) for value, v in pairs]

    def assign(new):
        for variable, value in zip(variables, new, strict=True):
            variable.assign(value)

    if keras.config.backend() == "jax":  # Its branches must not assign.
        assign(ops.cond(condition, new, current))
    else:
        ops.cond(condition, lambda: assign(new()), lambda: None)
