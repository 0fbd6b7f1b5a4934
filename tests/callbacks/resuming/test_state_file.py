import math
import os
from collections import deque

import keras
import numpy as np
import pytest

from keras_regimen.callbacks.resuming.state_file import (
    NotDataError,
    encode,
    read_state,
    write_state,
)

STATE = {
    "none": None,
    "numbers": [True, 3, 2**70, 0.1 + 0.2, math.inf, -math.inf],
    "deque": deque([1.5, 2.5], maxlen=4),
    "pairs": {("a", 1): (2, [3])},
    "array": np.arange(6, dtype="uint32").reshape(2, 3)[:, ::2],
    "empty": np.zeros((0, 2), "float16"),
    "scalar": np.float32(0.1),
}


def assert_equal(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_equal(found[key], expected[key])
    elif isinstance(expected, np.ndarray | np.generic):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


def test_what_was_written_is_read_to_the_bit(tmp_path):
    write_state(tmp_path / "a" / "state", STATE)
    found = read_state(tmp_path / "a" / "state")
    assert_equal(found, STATE)
    assert found["deque"].maxlen == 4
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["state"]


def test_nan_and_tensors_come_back(tmp_path):
    tensor = keras.ops.convert_to_tensor([0.1, math.nan], "bfloat16")
    write_state(tmp_path / "state", [math.nan, tensor])
    nan, found = read_state(tmp_path / "state")
    assert math.isnan(nan)
    assert keras.ops.is_tensor(found)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(keras.ops.cast(found, "float32")),
        # 0.1 with the eight leading bits of bfloat16.
        np.array([0.10009765625, math.nan], "float32"),
    )


@pytest.mark.parametrize(
    "value",
    [print, keras.Sequential(), {1: {2}}, [b"bytes"], np.array([{}])],
)
def test_what_is_no_data_is_refused(value):
    with pytest.raises(NotDataError):
        encode(value, [])


@pytest.mark.parametrize("step", ["savez", "fsync", "replace"])
def test_a_crash_leaves_the_state_before(step, tmp_path, monkeypatch):
    file = tmp_path / "state"
    write_state(file, {"epoch": 1})

    def crash(*arguments, **named):
        raise KeyboardInterrupt

    where = {"savez": np, "fsync": os, "replace": type(file)}[step]
    with monkeypatch.context() as patch:
        patch.setattr(where, step, crash)
        with pytest.raises(KeyboardInterrupt):
            write_state(file, {"epoch": 2})
    assert read_state(file) == {"epoch": 1}
    write_state(file, {"epoch": 3})
    assert read_state(file) == {"epoch": 3}


def torn(content):
    return content[: len(content) // 2]


def flipped(content):
    # A bit amid the numbers.
    at = content.index(np.arange(64.0).tobytes()) + 100
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    "damage", [torn, flipped, lambda content: b"", lambda content: b"text"]
)
def test_a_damaged_file_is_refused(damage, tmp_path):
    file = tmp_path / "state"
    write_state(file, {"numbers": np.arange(64.0)})
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=f"delete it.*Received: '{file}'"):
        read_state(file)


@pytest.mark.parametrize(
    "content", [{"weights": np.ones(3)}, {"index": np.array('["else", 1]')}]
)
def test_a_foreign_file_is_refused(content, tmp_path):
    np.savez(tmp_path / "state.npz", **content)
    with pytest.raises(ValueError, match="torn or foreign"):
        read_state(tmp_path / "state.npz")
