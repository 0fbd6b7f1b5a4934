"""A state of plain data, in one file that is written whole or not at all."""

import json
import os
import zipfile
from collections import deque
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

_MARK = "keras_regimen training state, version 1"


class NotDataError(TypeError):
    """Says that a value, such as a function or a model, is no plain data.

    Example:

    >>> encode(print, [])  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    ...
    NotDataError: builtin_function_or_method
    """


def write_state(path: Path, state: Any) -> None:
    """Writes a state so that a crash at any moment leaves the old or the new.

    Args:
        path: Path of the file.
        state: Numbers, strings, arrays and tensors, in lists, tuples,
            dictionaries and deques.

    Raises:
        NotDataError: If `state` holds anything else.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "state"
    >>> write_state(path, {"wait": 2, "best": np.array([0.5])})
    >>> read_state(path)
    {'wait': 2, 'best': array([0.5])}
    """
    arrays: list[np.ndarray] = []
    index = json.dumps([_MARK, encode(state, arrays)])
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("wb") as file:
        named: Any = {str(i): array for i, array in enumerate(arrays)}
        np.savez(file, index=np.array(index), **named)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    if os.name == "posix":
        # The new name is on the disk only when its folder is.
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def read_state(path: Path) -> Any:
    """Reads what `write_state` wrote.

    Args:
        path: Path of the file.

    Returns:
        The state.

    Raises:
        ValueError: If the file is torn, or of another kind.
    """
    try:
        # Opened here, since NumPy leaves a torn file open.
        with (
            path.open("rb") as file,
            np.load(file, allow_pickle=False) as zipped,
        ):
            arrays = {name: zipped[name] for name in zipped.files}
        mark, state = json.loads(str(arrays.pop("index")))
        if mark != _MARK:
            raise ValueError(mark)
        return _decode(state, [arrays[str(i)] for i in range(len(arrays))])
    except (ValueError, KeyError, EOFError, TypeError, zipfile.error) as error:
        raise ValueError(
            f"The training state must be a whole file of this library; delete "
            f"it to start anew. Received: '{path}', which is torn or foreign "
            f"({type(error).__name__})"
        ) from error


def encode(value: Any, arrays: list[np.ndarray]) -> Any:
    """Returns a value as JSON has it, and puts its arrays aside.

    Args:
        value: What is to be stored.
        arrays: List that the arrays are appended to.

    Returns:
        Nested lists, `[kind, content]` for whatever JSON lacks.

    Raises:
        NotDataError: If it is no plain data.

    Example:

    >>> encode((1, "a"), [])
    ['tuple', [1, 'a']]
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple, deque):
        items = [encode(item, arrays) for item in value]
        if isinstance(value, deque):
            return ["deque", [value.maxlen, items]]
        return [type(value).__name__, items]
    if type(value) is dict:
        pairs = [
            [encode(key, arrays), encode(item, arrays)]
            for key, item in value.items()
        ]
        return ["dict", pairs]
    if isinstance(value, keras.Variable):
        raise NotDataError("keras.Variable")
    if ops.is_tensor(value):
        kind, array = "tensor", np.asarray(ops.convert_to_numpy(value))
    elif isinstance(value, np.ndarray):
        kind, array = "array", value
    elif isinstance(value, np.generic):
        kind, array = "scalar", np.asarray(value)
    else:
        raise NotDataError(type(value).__name__)
    if array.dtype.kind not in "biufcU":
        if array.dtype.kind != "V":
            raise NotDataError(f"array of {array.dtype}")
        # NumPy cannot store bfloat16 and its like; float32 holds them exactly.
        array = array.astype("float32")
    arrays.append(array)
    return [kind, len(arrays) - 1]


def _decode(node: Any, arrays: list[np.ndarray]) -> Any:
    if not isinstance(node, list):
        return node
    kind, content = node
    if kind == "array":
        return arrays[content]
    if kind == "scalar":
        return arrays[content][()]
    if kind == "tensor":
        return ops.convert_to_tensor(arrays[content])
    if kind == "dict":
        return {_decode(k, arrays): _decode(v, arrays) for k, v in content}
    maxlen = None
    if kind == "deque":
        maxlen, content = content
    items = [_decode(item, arrays) for item in content]
    if kind == "deque":
        return deque(items, maxlen)
    return {"list": list, "tuple": tuple}[kind](items)
