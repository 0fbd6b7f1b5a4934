"""Which data a cell runs on: the recipe's own, or what the user names."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import datasets
from ..refusal import RefusalError
from .cache import tfds_directory
from .own_data import OwnData

# The data that the package brings, by the name that `--data` takes.
BUNDLED = (
    "breast_cancer",
    "diabetes",
    "digits",
    "two_moons",
    "two_spirals",
    "wine",
)

_TABLES = (".csv", ".tsv", ".txt")


def condition(
    declared: Mapping[str, Callable[[int], Any]], name: str
) -> Callable[[int], Any]:
    """Returns the function `seed -> Splits` that a data name stands for.

    Args:
        declared: The recipe's own data, by name.
        name: String. One of these names, or a bundled data set.

    Raises:
        RefusalError: If it is neither.
    """
    if name in declared:
        return declared[name]
    if name in BUNDLED:
        return getattr(datasets, name)()
    raise _unknown(declared, name)


def own_data(
    declared: Iterable[str],
    word: str,
    folder: Path,
    data_dir: Path | None = None,
    real: bool = False,
) -> OwnData | None:
    """Returns the user's data that a word stands for.

    In this order: a name of the recipe's or of the package's data, which is
    none of the user's; a file or folder that exists; a name of TensorFlow
    Datasets.

    Args:
        declared: The names of the recipe's own data.
        word: String. What `--data` was given.
        folder: Where relative paths begin.
        data_dir: Where TensorFlow Datasets are; by default what the
            environment variable `TFDS_DATA_DIR` says, else
            `~/tensorflow_datasets`.
        real: Boolean. Whether the recipe predicts a real number, and few
            whole numbers of a target are no classes.

    Returns:
        What draws its rows, or `None`.

    Raises:
        RefusalError: If there is no such data, or it is no such data.
    """
    if word in declared or word in BUNDLED:
        return None
    whole = folder / Path(word).expanduser()
    if whole.is_dir():
        from .image_folder import open_folder

        return open_folder(whole.resolve())
    if whole.is_file():
        if whole.suffix.lower() == ".npz":
            from .array_file import open_arrays

            return open_arrays(whole.resolve(), real)
        return _table(whole, "", real)
    # The name of a column may hold a colon, and so may that of a file.
    for at in reversed([i for i, c in enumerate(word) if c == ":"]):
        file = folder / Path(word[:at]).expanduser()
        if file.is_file():
            return _table(file, word[at + 1 :], real)
    file = Path(word.partition(":")[0])
    if file.suffix.lower() in (*_TABLES, ".npz") or _is_place(word):
        raise RefusalError(f"there is no file or folder {folder / file}")
    from .tfds_name import NAME, open_tfds

    if not NAME.fullmatch(word):
        raise _unknown(declared, word)
    try:
        place = folder / (data_dir or tfds_directory()).expanduser()
        return open_tfds(word, place, real)
    except LookupError:
        raise _unknown(declared, word) from None


def look_ahead(
    file: Path, word: str | None, folder: Path, data_dir: Path
) -> None:
    """Refuses a set that cannot be downloaded before any process is started.

    Processes take longer to start than this. What it is not sure of it leaves
    to `own_data`, such as a name that the recipe's script mentions.

    Args:
        file: The recipe's script.
        word: Optional string. What `--data` was given.
        folder: Where relative paths begin.
        data_dir: Where TensorFlow Datasets are.

    Raises:
        RefusalError: If it is a set that is not there and cannot be had.
    """
    from .tfds_name import NAME, prepared_folder

    if word is None or word in BUNDLED or not NAME.fullmatch(word):
        return
    data_dir = folder / data_dir.expanduser()
    script = file.read_text("utf-8", "replace")
    named = any(f"{quote}{word}{quote}" in script for quote in "\"'")
    if named or (folder / word).exists() or prepared_folder(word, data_dir):
        return
    from .tfds_download import check

    with contextlib.suppress(LookupError):
        check(word, data_dir)


def label(source: Callable[[int], Any]) -> str:
    """Returns what a row says of its data, such as `digits()`."""
    defined = getattr(source, "__name__", type(source).__name__)
    return getattr(source, "name", None) or defined


def _is_place(word: str) -> bool:
    return word.startswith((".", "/", "~")) or word.endswith("/")


def _table(file: Path, target: str, real: bool) -> OwnData:
    from .table_file import open_table
    from .table_text import read_table

    if not target:
        columns = ", ".join(c.name for c in read_table(file))
        raise RefusalError(
            f"which column of {file.name} is the target? Give "
            f"{file.name}:COLUMN; it has {columns}"
        )
    return open_table(file.resolve(), target, real)


def _unknown(declared: Iterable[str], name: str) -> RefusalError:
    own = [known for known in declared if known]
    return RefusalError(
        f"no data named {name!r}; known are "
        + ", ".join([*own, *BUNDLED])
        + "; a table is given as file.csv:target, and a folder of images, an "
        ".npz file with x and y and names of TensorFlow Datasets serve, too"
    )
