"""A prepared set of TensorFlow Datasets, by its name."""

import dataclasses
import functools
import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..refusal import RefusalError
from .array_rows import array_rows, larger_than_memory
from .image_rows import write_images
from .own_data import OwnData
from .reading_tensorflow import reading_tensorflow
from .stored_arrays import stored_arrays
from .target_kind import recognize

NAME = re.compile(r"[a-z]\w*(/[^/:\\]+)?(:\d+\.\d+\.\d+)?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class TfdsName(OwnData):
    """Rows of a supervised set: images between 0 and 1, or arrays as they are.

    A `test` split (else `validation`) of its own stays the test data. What a
    row says of the set is its version and the sizes of its splits: the folder
    may be moved.

    Args:
        path: As of `OwnData`: the folder of a version.
        label: As of `OwnData`.
        digest: As of `OwnData`.
        sentence: As of `OwnData`.
        streamed: As of `OwnData`.
        real: Boolean. Whether the recipe predicts a real number.
        test_from: Optional integer. The first row of the test split.
    """

    real: bool = False
    test_from: int | None = None

    def current_digest(self) -> str:
        return _digest(Path(self.path))

    def draw(self, seed: int) -> Any:
        x, y = _stored(self.path, self.digest)
        return array_rows(
            x,
            recognized(y, self.label, self.real),
            seed,
            self.digest,
            self.test_from,
            self.streamed,
        )


def open_tfds(word: str, data_dir: Path, real: bool = False) -> TfdsName:
    """Returns the data that a name stands for; downloads it if need be.

    Args:
        word: String. `name`, `name/config`, each with `:version` or without.
        data_dir: Folder of TensorFlow Datasets.
        real: Boolean. Whether the recipe predicts a real number.

    Raises:
        RefusalError: If it cannot be had, or is of another kind.
        LookupError: If there is no such name.
    """
    data_dir = data_dir.expanduser().absolute()
    folder = prepared_folder(word, data_dir)
    if folder is None:
        from .tfds_download import prepare

        prepare(word, data_dir)
        folder = prepared_folder(word, data_dir)
        if folder is None:
            raise RefusalError(f"{word} was prepared, and not in {data_dir}")
    digest = _digest(folder)
    x, y = _stored(str(folder), digest)
    place = folder.relative_to(data_dir)
    label = f"{place.parent.as_posix()}:{place.name}"
    train, test = _splits(folder)
    kind = recognized(y, label, real)
    outputs = (
        f"{int(kind.max()) + 1} classes"
        if kind.dtype == np.int32
        else "a real number"
    )
    streamed = larger_than_memory(x)
    count = _info(folder)[train]
    return TfdsName(
        path=str(folder),
        label=label,
        digest=digest,
        sentence=f"{label}: {len(x):,} rows of shape {x.shape[1:]}"
        + (f", {len(x) - count:,} of them its {test} split" if test else "")
        + f", target: {outputs}"
        + (", streamed from disk" if streamed else ""),
        streamed=streamed,
        real=real,
        test_from=count if test else None,
    )


def recognized(y: np.ndarray, name: str, real: bool) -> np.ndarray:
    """Returns labels, or a column of real targets."""
    y = np.asarray(y)
    if y.dtype == np.int32:  # Of a `ClassLabel`.
        if y.min() < 0:
            raise RefusalError(f"{name} hides labels: they are -1")
        return y
    if y.dtype.kind == "f":
        return y.reshape(len(y), -1)
    return recognize(y, name, real).y


def prepared_folder(word: str, data_dir: Path) -> Path | None:
    """Returns the folder of a prepared set, of its last version.

    Args:
        word: String. `name`, `name/config`, each with `:version` or without.
        data_dir: Folder of TensorFlow Datasets, absolute.

    Raises:
        RefusalError: If it has several forms, none of which is named.
    """
    name, _, version = word.partition(":")
    name, _, config = name.partition("/")
    home = data_dir / name
    if not config and not list(home.glob("*/dataset_info.json")):
        config = _default_config(home)
    found = [
        path.parent
        for path in (home / config).glob("*/dataset_info.json")
        if version in ("", path.parent.name)
    ]
    numbers = {path: re.findall(r"\d+", path.name) for path in found}
    return max(
        found, key=lambda path: [int(n) for n in numbers[path]], default=None
    )


def _default_config(home: Path) -> str:
    """Returns the config that a name without one stands for, if any."""
    saved = home / ".config" / "metadata.json"
    if saved.is_file():
        return json.loads(saved.read_text()).get("default_config_name", "")
    configs = {p.parent.parent.name for p in home.glob("*/*/dataset_info.json")}
    if len(configs) > 1:
        raise RefusalError(
            f"{home.name} is prepared in several forms; give one of "
            + ", ".join(f"{home.name}/{config}" for config in sorted(configs))
        )
    return "".join(configs)


def _read_info(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "dataset_info.json").read_text())
    except ValueError as error:
        raise RefusalError(
            f"{folder / 'dataset_info.json'} cannot be read; prepare the set "
            "again"
        ) from error


def _digest(folder: Path) -> str:
    info = _read_info(folder)
    said = [info.get(key) for key in ("name", "configName", "version")]
    said += [
        [split.get(key) for key in ("name", "numBytes", "shardLengths")]
        for split in info.get("splits", ())
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _info(folder: Path) -> dict[str, int]:
    """Returns the number of rows of each split."""
    return {
        split["name"]: sum(map(int, split.get("shardLengths", ())))
        for split in _read_info(folder)["splits"]
    }


def _splits(folder: Path) -> tuple[str, str | None]:
    counts = {name: count for name, count in _info(folder).items() if count}
    if "train" not in counts:
        raise RefusalError(
            f"{folder} has no split named train; it has "
            + (", ".join(counts) or "none")
        )
    return "train", next(
        (n for n in ("test", "validation") if n in counts), None
    )


def _stored(path: str, digest: str) -> tuple[np.ndarray, np.ndarray]:
    return stored_arrays(digest, functools.partial(_write, Path(path)))


def _write(source: Path, folder: Path) -> None:
    tf = reading_tensorflow()
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(source)
    x_name, y_name = _supervised(builder.info)
    features = builder.info.features
    splits = [split for split in _splits(source) if split]
    count = sum(_info(source)[split] for split in splits)

    def column(name: str, **decoders: Any) -> Iterator[np.ndarray]:
        # In the order in which the rows were written.
        read = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        for split in splits:
            rows = builder.as_dataset(
                split=split, read_config=read, decoders=decoders or None
            )
            # An image that nobody asks for is not decoded.
            named = rows.map(lambda row: row[name])
            yield from named.as_numpy_iterator()

    try:
        _write_inputs(
            folder / "x.npy",
            functools.partial(column, x_name),
            count,
            features[x_name],
            tfds,
        )
        skipped = (
            {x_name: tfds.decode.SkipDecoding()}
            if isinstance(features[x_name], tfds.features.Image)
            else {}
        )
        y = np.array(list(column(y_name, **skipped)))
    except (tf.errors.OpError, OSError) as error:
        raise RefusalError(
            f"{source} cannot be read; prepare the set again"
        ) from error
    if isinstance(features[y_name], tfds.features.ClassLabel):
        y = y.astype("int32")
    np.save(folder / "y.npy", y)


def _supervised(info: Any) -> tuple[str, str]:
    keys = info.supervised_keys
    names = list(info.features)
    if keys is None and len(names) == 2 and "label" in names:
        keys = (next(n for n in names if n != "label"), "label")
    if (
        keys is None
        or len(keys) != 2
        or not all(isinstance(k, str) for k in keys)
    ):
        raise RefusalError(
            f"{info.full_name} has no pair of one input and one target; it "
            f"holds {', '.join(names)}"
        )
    import tensorflow_datasets as tfds

    target = info.features[keys[1]]
    if target.shape != () or not _is_number(target):
        raise RefusalError(
            f"the target {keys[1]!r} of {info.full_name} must be one label or "
            f"number. Received: {type(target).__name__} of shape {target.shape}"
        )
    x = info.features[keys[0]]
    if isinstance(x, tfds.features.Image):
        return keys
    if not (_is_number(x) and x.shape and None not in x.shape):
        raise RefusalError(
            f"the input {keys[0]!r} of {info.full_name} must be an image or "
            "numbers of a fixed shape. Received: "
            f"{type(x).__name__} of shape {x.shape}"
        )
    return keys


def _is_number(feature: Any) -> bool:
    # A dictionary of features has dictionaries of shapes and types.
    if isinstance(feature.shape, dict):
        return False
    return np.dtype(feature.np_dtype).kind in "buif"


def _write_inputs(
    path: Path,
    rows: Callable[[], Iterator[np.ndarray]],
    count: int,
    feature: Any,
    tfds: Any,
) -> None:
    dtype = np.dtype(feature.np_dtype)
    if isinstance(feature, tfds.features.Image) and dtype == np.uint8:
        write_images(path, rows, count)
        return
    first = next(iter(rows()))
    kept = np.dtype("uint8") if dtype == np.uint8 else np.dtype("float32")
    x = np.lib.format.open_memmap(path, "w+", kept, (count, *first.shape))
    for place, row in enumerate(itertools.islice(rows(), count)):
        x[place] = row
    x.flush()
