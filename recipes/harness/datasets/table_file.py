"""A user's table, one column of which is the target."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..contract.splits import Splits
from ..refusal import RefusalError
from .content_digest import content_digest
from .memory_share import in_megabytes, memory_share
from .own_data import OwnData
from .row_parts import row_parts
from .standardized import standardized
from .table_text import Column, read_table
from .target_kind import Target, recognize

# Rarer texts of a column share one input, as do texts that training lacks.
MOST_CATEGORIES = 32


@dataclasses.dataclass(frozen=True)
class TableFile(OwnData):
    """Rows of a text table, as vectors.

    Numbers are imputed by the median, marked where they were missing, and
    standardized; texts become one input each, a missing one too. All of it is
    fitted on the training rows of the seed alone, as is the scale of a real
    target: an `rmse` of 1 is what predicting the mean gets.

    Args:
        path: As of `OwnData`.
        label: As of `OwnData`.
        digest: As of `OwnData`.
        sentence: As of `OwnData`.
        streamed: Always false: text is parsed as a whole.
        target: String. The name of the target's column.
        real: Boolean. Whether the recipe predicts a real number.
    """

    target: str = ""
    real: bool = False

    def current_digest(self) -> str:
        return content_digest(Path(self.path))

    def draw(self, seed: int) -> Splits:
        table = _parsed(self.path, self.digest, self.target, self.real)
        y = table.target.y
        parts = row_parts(y, seed)
        inputs = _inputs(table.features, parts)
        targets = [y[rows] for rows in parts]
        if not table.target.classes:
            targets = standardized(targets)
        train, validation, test = zip(inputs, targets, strict=True)
        return Splits(train, validation, test)


def open_table(path: Path, target: str, real: bool = False) -> TableFile:
    """Returns the data that `file.csv:target` stands for.

    Args:
        path: The file, absolute.
        target: String. The name of a column.
        real: Boolean. Whether the recipe predicts a real number.

    Raises:
        RefusalError: If the file is no table, or the column cannot be a
            target.
    """
    size, share = path.stat().st_size, memory_share()
    if size > share:
        raise RefusalError(
            f"{path.name} ({in_megabytes(size)}) is larger than the "
            f"{in_megabytes(share)} that a process may fill with data; save "
            "it as an .npz with numbers x and y, which is streamed, or set "
            "REGIMEN_MEMORY_MB"
        )
    digest = content_digest(path)
    table = _parsed(str(path), digest, target, real)
    return TableFile(
        path=str(path),
        label=f"{path.name}:{target}",
        digest=digest,
        sentence=f"{path.name}: {table.sentence}",
        target=target,
        real=real,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Table:
    features: Sequence[Column]
    target: Target
    sentence: str


# Kept for the cells of this process; the digest says whether it is the same.
@functools.lru_cache(maxsize=4)
def _parsed(path: str, digest: str, target: str, real: bool) -> _Table:
    columns = {column.name: column for column in read_table(Path(path))}
    if target not in columns:
        raise RefusalError(
            f"{Path(path).name} has no column {target!r}; it has "
            + ", ".join(columns)
        )
    known = ~columns[target].missing
    values = columns.pop(target).values[known]
    if columns and not len(values):
        raise RefusalError(
            f"{Path(path).name} has no row with a target {target!r}"
        )
    kind = recognize(_plain(values), target, real)
    features, dropped = [], []
    for column in columns.values():
        column = Column(column.name, column.values[known])
        reason = _useless(column)
        if reason:
            dropped.append(f"{column.name!r} ({reason})")
        else:
            features.append(column)
    if not features:
        raise RefusalError(
            f"{Path(path).name} has no column to predict {target!r} from"
            + (f"; left out: {', '.join(dropped)}" if dropped else "")
        )
    texts = sum(column.is_text for column in features)
    several = f"{len(features)} column{'s' * (len(features) > 1)}"
    sentence = f"{len(values):,} rows, {several}"
    sentence += f" ({texts} text)" if texts else ""
    sentence += f", target {target!r}: {kind}"
    if not known.all():
        count = int((~known).sum())
        sentence += f"; {count:,} row{'s' * (count > 1)} without a target"
        sentence += " left out"
    if dropped:
        sentence += f"; left out: {', '.join(dropped)}"
    return _Table(features, kind, sentence)


def _plain(values: np.ndarray) -> np.ndarray:
    return values if values.dtype.kind == "f" else values.astype(str)


def _useless(column: Column) -> str | None:
    values = column.values[~column.missing]
    if not len(values):
        return "empty"
    if column.is_text:
        # An id tells each row apart and says nothing of the next one.
        return "an id" if len(set(values)) == len(values) > 1 else None
    counting = len(values) == len(column.values) and np.all(
        np.diff(values) == 1
    )
    return "numbers the rows" if counting and len(values) > 2 else None


def _inputs(features: Sequence[Column], parts: Any) -> list[np.ndarray]:
    # Scikit-learn takes most of a second to import.
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    x = np.empty((len(features[0].values), len(features)), dtype=object)
    for place, column in enumerate(features):
        x[:, place] = column.values
    places = {
        kind: [i for i, c in enumerate(features) if c.is_text == kind]
        for kind in (False, True)
    }
    imputer = SimpleImputer(
        strategy="median", add_indicator=True, keep_empty_features=True
    )
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        max_categories=MOST_CATEGORIES,
        sparse_output=False,
    )
    transformer = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(imputer, StandardScaler()),
                places[False],
            ),
            ("texts", encoder, places[True]),
        ]
    )
    transformer.fit(x[parts[0]])
    return [
        np.asarray(transformer.transform(x[rows]), "float32") for rows in parts
    ]
