"""The random states that a training draws from outside of its model."""

import random
from typing import Any

import keras
import numpy as np
from keras import ops

from ..stopping.best_state import _random_state, _set_random_state


def random_states() -> dict[str, Any]:
    """Returns the states from which the order of samples is drawn.

    Keras permutes arrays by NumPy's global state on JAX and by PyTorch's on
    PyTorch, whose dropout draws from it too, and `PyDataset`s by Python's.

    Returns:
        Dictionary of plain data.

    Example:

    >>> states = random_states()
    >>> first = np.random.permutation(9)
    >>> set_random_states(states)
    >>> bool(np.all(np.random.permutation(9) == first))
    True
    """
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
    }
    if keras.config.backend() == "torch":
        on_cpu, on_gpus = _random_state()
        states["torch"] = [state.numpy() for state in (on_cpu, *on_gpus)]
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Sets the states that `random_states` returned.

    Args:
        states: Dictionary from `random_states`.

    Example:

    >>> set_random_states(random_states())
    """
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    if keras.config.backend() == "torch":
        # PyTorch takes them from the CPU alone.
        tensors = [
            ops.convert_to_tensor(state, dtype="uint8").cpu()
            for state in states["torch"]
        ]
        _set_random_state((tensors[0], tensors[1:]))
