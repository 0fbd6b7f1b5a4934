"""Copies of TensorFlow tensors, made in the memory of earlier copies."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

# One core alone doesn't use all that memory can carry, more than four can't.
_CORES = min(4, os.cpu_count() or 1)
_LARGE = 2**24  # Bytes, from which on the cores earn what starting them costs.


def copies(variables: list[Any], into: list[Any]) -> list[Any]:
    """Returns copies of Keras variables, in the memory of `into` if given.

    On the CPU they are NumPy arrays, elsewhere tensors on their device, which
    TensorFlow copies when the variable is next written to.
    """
    tensors = [tf.convert_to_tensor(variable.value) for variable in variables]
    if not _on_cpu(tensors):
        into.clear()
        return [tf.identity(tensor) for tensor in tensors]
    arrays = [np.asarray(tensor) for tensor in tensors]
    # Fresh memory costs more than the copying.
    into = into or [np.empty_like(array) for array in arrays]
    pairs = list(zip(into, arrays, strict=True))
    cores = _CORES if sum(array.nbytes for array in arrays) > _LARGE else 1

    def copy(core: int) -> None:
        for kept, array in pairs[core::cores]:
            np.copyto(kept, array)

    if cores == 1:
        copy(0)
    else:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(copy, range(cores)))
    return into


def _on_cpu(tensors: list[tf.Tensor]) -> bool:
    return all("CPU" in tensor.device for tensor in tensors)
