"""A cell's training, kept on the disk, to go on from where it ended."""

import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from .budget import state_file

if TYPE_CHECKING:
    from .fitting import Fitting


def keep_state(
    folder: Path, cell: str, model: keras.Model, fitting: "Fitting"
) -> None:
    """Writes what training needs to go on: whole, or not at all.

    The weights, the random streams of layers, the optimizer's slots and
    iterations, the generator of the batches' order, and the curves.

    Args:
        folder: Where states are kept.
        cell: String. The cell's id.
        model: The trained model.
        fitting: Its `Fitting`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        f"{group}_{place}": keras.ops.convert_to_numpy(variable)
        for group, variables in _groups(model).items()
        for place, variable in enumerate(variables)
    }
    history = json.dumps(fitting.state())
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        np.savez(file, history=np.array(history), **arrays)
    os.replace(name, state_file(folder, cell))


def load_state(
    folder: Path, cell: str, model: keras.Model, fitting: "Fitting"
) -> bool:
    """Brings a model and its fitting to where a cell's training ended.

    Args:
        folder: Where states are kept.
        cell: String. The id of the cell that is gone on from.
        model: A model of the same make.
        fitting: A new `Fitting`.

    Returns:
        Whether there was a state that fits. If not, nothing is changed.
    """
    try:
        with (
            state_file(folder, cell).open("rb") as file,
            np.load(file) as stored,
        ):
            arrays = dict(stored)
    except (OSError, ValueError, zipfile.BadZipFile):
        return False  # Pruned, on another machine, or torn.
    history = json.loads(str(arrays.pop("history")))
    model.optimizer.build(model.trainable_variables)
    pairs: list[tuple[Any, np.ndarray | None]] = [
        (variable, arrays.pop(f"{group}_{place}", None))
        for group, variables in _groups(model).items()
        for place, variable in enumerate(variables)
    ]
    if arrays or any(
        array is None or tuple(variable.shape) != array.shape
        for variable, array in pairs
    ):
        return False
    for variable, array in pairs:
        variable.assign(array)
    fitting.restore(history)
    return True


def _groups(model: keras.Model) -> dict[str, list[Any]]:
    # `variables`, not `weights`, which lack the seeds of random layers.
    return {"model": model.variables, "optimizer": model.optimizer.variables}
