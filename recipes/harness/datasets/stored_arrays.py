"""Arrays that were costly to make, kept in the cache as files to map."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..refusal import RefusalError
from .cache import cache_directory

# Raised when the files below would be written otherwise.
_FORMAT = 1


def stored_arrays(
    digest: str, write: Callable[[Path], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns `x` and `y`, mapped into memory; makes them if need be.

    A killed process leaves nothing that is read: the files are written into a
    folder of a random name, which is renamed at the end. Of several processes
    at once the first one to finish wins.

    Args:
        digest: String. What the arrays are made from.
        write: Function that writes `x.npy` and `y.npy` into a folder.

    Raises:
        RefusalError: If the cache cannot be written to.
    """
    folder = cache_directory() / "arrays" / f"{digest[:32]}-{_FORMAT}"
    try:
        if not folder.is_dir():
            _make(folder, write)
        x, y = (np.load(folder / f"{n}.npy", mmap_mode="r") for n in "xy")
    except OSError as error:
        raise RefusalError(
            f"the data cannot be kept in {folder.parent} "
            f"({error.strerror or error}); set REGIMEN_CACHE to a folder with "
            "room that can be written"
        ) from error
    return x, y


def _make(folder: Path, write: Callable[[Path], None]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        write(made)
        os.rename(made, folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        if not folder.is_dir():  # Else another process was the first.
            raise
