"""Figures in a file that TensorBoard reads, without TensorFlow."""

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_SERIAL = iter(range(2**31))


class EventFile:
    """Writes figures where TensorBoard finds them.

    Use it on any backend: neither TensorFlow nor TensorBoard is needed to
    write, since an event is some bytes in a frame with two checksums.

    Args:
        log_dir: Path of a folder on a local disk, made where it is missing.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = EventFile(folder)
    ...     file.write(0, {"gradient_norm/dense": 0.5})
    ...     [found.name.split(".")[2] for found in Path(folder).iterdir()]
    ['tfevents']
    """

    def __init__(self, log_dir: str | os.PathLike):
        folder = Path(log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names.
        name = (
            f"events.out.tfevents.{time.time():017.6f}.regimen."
            f"{os.getpid()}.{next(_SERIAL)}"
        )
        self._path = folder / name
        self._add(_text(3, "brain.Event:2"))

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Adds the figures of one step, such as an epoch."""
        with np.errstate(over="ignore"):
            singles = np.array([*figures.values()], "<f4")
        values = b"".join(
            _part(1, _text(1, name) + b"\x15" + single.tobytes())
            for name, single in zip(figures, singles, strict=True)
        )
        self._add(b"\x10" + _varint(step) + _part(5, values))

    def _add(self, fields: bytes) -> None:
        event = b"\x09" + struct.pack("<d", time.time()) + fields
        length = struct.pack("<Q", len(event))
        # Opened each time: an interrupted training leaves nothing open.
        with self._path.open("ab") as file:
            for part in (length, event):
                file.write(part + struct.pack("<I", _checksum(part)))


# Protocol buffers: a field's number and kind, then, of bytes, their length.


def _part(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _part(field, text.encode())


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def _row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0x82F63B78 * (byte & 1)
    return byte


_CRC32C = [_row(byte) for byte in range(256)]


def _checksum(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _CRC32C[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
