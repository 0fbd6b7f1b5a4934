"""Reads the cells of a text table: separator, header, missing values."""

import csv
import dataclasses
from pathlib import Path

import numpy as np

from ..refusal import RefusalError

SEPARATORS = ",;\t"
MISSING = {"", "?", "na", "n/a", "nan", "null", "none"}


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """A column of a table.

    Args:
        name: String.
        values: float64 with NaN, or an array of strings with `""`, where
            nothing stands.
    """

    name: str
    values: np.ndarray

    @property
    def is_text(self) -> bool:
        return self.values.dtype.kind != "f"

    @property
    def missing(self) -> np.ndarray:
        """Which rows have no value."""
        return self.values == "" if self.is_text else np.isnan(self.values)


def read_table(path: Path) -> list[Column]:
    """Returns the columns of a file with a header.

    The separator (`,`, `;` or tab) is the one that cuts the header into most
    columns. A column is numeric if each value that is not missing is a
    number; after `;` also with a decimal comma. Infinity is missing, too.

    Raises:
        RefusalError: If the file is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            separator = max(SEPARATORS, key=lambda s: len(_cells(first, s)))
            file.seek(0)
            reader = csv.reader(file, delimiter=separator)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header)
            rows = []
            for row in reader:
                if not any(row):
                    continue  # An empty line.
                if len(row) != len(header):
                    raise RefusalError(
                        f"{path.name}, line {reader.line_num}: {len(row)} "
                        f"values, and the header names {len(header)} columns"
                    )
                rows.append(row)
    except OSError as error:
        raise RefusalError(
            f"{path} cannot be read: {error.strerror}"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RefusalError(
            f"{path.name} is no table of text in UTF-8: {error}"
        ) from error
    if not rows:
        raise RefusalError(f"{path.name} has a header and no rows")
    return [
        Column(name, _typed(values, separator))
        for name, values in zip(header, zip(*rows, strict=True), strict=True)
    ]


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise RefusalError(f"{path.name} is empty")
    if all(_number(name, ",") is not None for name in header):
        raise RefusalError(
            f"{path.name} must name its columns in the first line, which "
            f"holds numbers: {', '.join(header[:5])}"
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise RefusalError(
            f"{path.name} names a column twice: {', '.join(map(repr, twice))}"
        )


def _typed(values: tuple[str, ...], separator: str) -> np.ndarray:
    texts = [value.strip() for value in values]
    texts = ["" if text.lower() in MISSING else text for text in texts]
    numbers = [_number(text, separator) if text else np.nan for text in texts]
    if None in numbers:
        return np.array(texts, dtype=object)
    array = np.array(numbers, dtype="float64")
    array[~np.isfinite(array)] = np.nan
    return array


def _number(text: str, separator: str) -> float | None:
    if separator == ";" and "." not in text:
        text = text.replace(",", ".")
    try:
        # Python reads 1_000 as a number, and no other program does.
        return None if "_" in text else float(text)
    except ValueError:
        return None
