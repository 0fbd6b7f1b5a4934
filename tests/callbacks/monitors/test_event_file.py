import math
import struct

import numpy as np
import pytest

from keras_regimen.callbacks.monitors import event_file
from keras_regimen.callbacks.monitors.event_file import EventFile


def test_checksum_is_the_published_one():
    # RFC 3720, appendix B.4: CRC-32C of 32 bytes of zeros; masked as in the
    # framing of records.
    crc = 0x8A9136AA
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert event_file._checksum(bytes(32)) == masked


def test_tensorflow_reads_what_was_written(tmp_path):
    iterator = pytest.importorskip(
        "tensorflow"
    ).compat.v1.train.summary_iterator
    file = EventFile(tmp_path / "new" / "folder")
    file.write(0, {"gradient_norm/dense": 0.5, "länge": math.nan})
    file.write(300, {"gradient_norm/dense": 1e30})
    (path,) = (tmp_path / "new" / "folder").iterdir()
    # It refuses a wrong checksum.
    first, *events = iterator(str(path))
    assert first.file_version == "brain.Event:2"
    assert [event.step for event in events] == [0, 300]
    found = [
        {value.tag: value.simple_value for value in event.summary.value}
        for event in events
    ]
    assert found[0]["gradient_norm/dense"] == 0.5
    assert math.isnan(found[0]["länge"])
    assert found[1] == {"gradient_norm/dense": pytest.approx(1e30)}
    assert all(abs(e.wall_time - first.wall_time) < 60 for e in events)


def test_two_files_in_one_folder_do_not_collide(tmp_path):
    for _ in range(2):
        EventFile(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_figure_beyond_single_precision_is_infinite(tmp_path):
    file = EventFile(tmp_path)
    file.write(0, {"huge": 1e300})
    (path,) = tmp_path.iterdir()
    assert struct.pack("<f", np.inf) in path.read_bytes()
