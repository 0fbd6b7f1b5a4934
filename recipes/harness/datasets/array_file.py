"""A user's `.npz` file with `x` and `y`."""

import dataclasses
import functools
import shutil
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..refusal import RefusalError
from .array_rows import array_rows, larger_than_memory
from .content_digest import content_digest
from .own_data import OwnData
from .stored_arrays import stored_arrays
from .target_kind import recognize

_ROWS_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True)
class ArrayFile(OwnData):
    """Rows of the arrays `x` and `y` of a file.

    Inputs stay as they are, but bytes are divided by 255, and bytes of shape
    `(rows, height, width)` are gray images. Whole or textual targets are
    classes (many different whole numbers are real), floats are real.

    Args:
        path: As of `OwnData`.
        label: As of `OwnData`.
        digest: As of `OwnData`.
        sentence: As of `OwnData`.
        streamed: As of `OwnData`.
        real: Boolean. Whether the recipe predicts a real number.
    """

    real: bool = False

    def current_digest(self) -> str:
        return content_digest(Path(self.path))

    def draw(self, seed: int) -> Any:
        x, y, _ = _loaded(self.path, self.digest, self.real, self.streamed)
        return array_rows(x, y, seed, self.digest, streamed=self.streamed)


def open_arrays(path: Path, real: bool = False) -> ArrayFile:
    """Returns the data that an `.npz` file stands for.

    Args:
        path: The file, absolute.
        real: Boolean. Whether the recipe predicts a real number.

    Raises:
        RefusalError: If it does not hold `x` and `y`, or they are no inputs
            and targets.
    """
    digest = content_digest(path)
    try:
        streamed = larger_than_memory(_header(path, "x"))
        x, _, outputs = _loaded(str(path), digest, real, streamed)
    except (zipfile.BadZipFile, ValueError, EOFError, KeyError) as error:
        if isinstance(error, RefusalError):
            raise
        raise RefusalError(
            f"{path.name} is no .npz file of arrays of numbers: {error}"
        ) from error
    return ArrayFile(
        path=str(path),
        label=path.name,
        digest=digest,
        sentence=f"{path.name}: {len(x):,} rows of shape {x.shape[1:]}, "
        f"target 'y': {outputs}" + (", streamed from disk" * streamed),
        streamed=streamed,
        real=real,
    )


def _header(path: Path, name: str) -> np.ndarray:
    """Returns an array of the shape and dtype in the file, without memory."""
    with zipfile.ZipFile(path) as file:
        members = [n.removesuffix(".npy") for n in file.namelist()]
        if not {"x", "y"} <= set(members):
            raise RefusalError(
                f"{path.name} must hold the arrays x and y. Received: "
                + (", ".join(members) or "none")
            )
        with file.open(f"{name}.npy") as member:
            version = np.lib.format.read_magic(member)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read(member)
    if dtype.kind not in "buif" or len(shape) < 2:
        raise RefusalError(
            f"x in {path.name} must be an array of numbers of shape (rows, "
            f"...). Received: {dtype} of shape {shape}"
        )
    return np.broadcast_to(np.zeros((), dtype), shape)


@functools.lru_cache(maxsize=1)
def _loaded(
    path: str, digest: str, real: bool, streamed: bool
) -> tuple[np.ndarray, np.ndarray, str]:
    if streamed:
        # A member of a zip file cannot be mapped, so it is unpacked once.
        x, y = stored_arrays(digest, partial(_unpack, Path(path)))
    else:
        with np.load(path, allow_pickle=False) as file:
            x, y = file["x"], file["y"]
    if len(x) != len(y):
        raise RefusalError(
            f"{Path(path).name} must have as many targets as inputs. "
            f"Received: {len(x)} inputs and {len(y)} targets"
        )
    for start in range(0, len(x), _ROWS_AT_ONCE):
        part = x[start : start + _ROWS_AT_ONCE]
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            raise RefusalError(
                f"x in {Path(path).name} holds NaN or infinity; fill what is "
                "missing first"
            )
    if x.dtype == np.uint8 and x.ndim == 3:
        x = x[..., np.newaxis]
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype.kind == "f":
        y = y.astype("float32")
        if not np.isfinite(y).all():
            raise RefusalError(f"y in {Path(path).name} holds NaN or infinity")
        return x, y.reshape(len(y), -1), "real numbers"
    if y.ndim == 2:  # A label at each time step.
        return x, y.astype("int32"), f"{int(y.max()) + 1} classes at each step"
    target = recognize(y, "y", real)
    return x, target.y, str(target)


def _unpack(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as file:
        for name in ("x.npy", "y.npy"):
            with file.open(name) as member, (folder / name).open("wb") as out:
                shutil.copyfileobj(member, out)
