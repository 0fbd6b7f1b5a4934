import hashlib
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn.datasets import load_digits as scikit_learns
from tensorflow_datasets.core.utils import gcs_utils

from keras_regimen.recipes.harness.datasets.digits_builder import (
    RegimenDigits,
    load_digits,
)

KILLED = """
import os, pathlib, signal, sys
from keras_regimen.recipes.harness.datasets import digits_builder

generate = digits_builder.RegimenDigits._generate_examples

def killed(self):
    for row, example in generate(self):
        if row == 900:
            os.kill(os.getpid(), signal.SIGKILL)
        yield row, example

digits_builder.RegimenDigits._generate_examples = killed
digits_builder.load_digits(pathlib.Path(sys.argv[1]))
"""
LOADED = """
import hashlib, pathlib, sys
from keras_regimen.recipes.harness.datasets import digits_builder

print("ready", flush=True)
sys.stdin.readline()
images, labels = digits_builder.load_digits(pathlib.Path(sys.argv[1]))
print(hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest())
"""


def assert_scikit_learns(images, labels):
    theirs = scikit_learns()
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[..., 0], theirs.images)
    np.testing.assert_array_equal(labels, theirs.target)


def run(code, data_dir):
    return subprocess.Popen(
        [sys.executable, "-c", code, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def prepared(data_dir):
    return data_dir / "regimen_digits" / "1.0.0"


def test_first_call_prepares_quietly_and_without_the_network(
    monkeypatch, tmp_path, capfd
):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(gcs_utils, "exists", refuse)
    capfd.readouterr()
    assert_scikit_learns(*load_digits(tmp_path))
    assert capfd.readouterr() == ("", "")


def test_second_call_reads_what_the_first_one_prepared(
    monkeypatch, shared_cache
):
    assert_scikit_learns(*load_digits(shared_cache))

    def refuse(*args, **kwargs):
        raise AssertionError("prepared again")

    monkeypatch.setattr(RegimenDigits, "download_and_prepare", refuse)
    assert_scikit_learns(*load_digits(shared_cache))


def test_anybody_can_load_it_by_its_name(shared_cache):
    load_digits(shared_cache)
    data, info = tfds.load(
        "regimen_digits", split="train", data_dir=shared_cache, with_info=True
    )
    assert info.splits["train"].num_examples == 1797
    assert info.features["label"].num_classes == 10
    assert "Alpaydin" in info.citation
    first = next(iter(data))
    assert first["label"] == scikit_learns().target[0]


def test_another_process_that_finishes_first_wins(monkeypatch, tmp_path):
    generate = RegimenDigits._generate_examples

    def overtaken(self):
        monkeypatch.setattr(RegimenDigits, "_generate_examples", generate)
        load_digits(tmp_path)
        return generate(self)

    monkeypatch.setattr(RegimenDigits, "_generate_examples", overtaken)
    assert_scikit_learns(*load_digits(tmp_path))
    # The loser cleans up after itself.
    names = [path.name for path in (tmp_path / "regimen_digits").iterdir()]
    assert names == ["1.0.0"]


def test_half_prepared_folder_is_never_read(shared_cache, tmp_path):
    load_digits(shared_cache)
    left = tmp_path / "regimen_digits" / "incomplete.ABC123_1.0.0"
    left.mkdir(parents=True)
    for file in prepared(shared_cache).iterdir():
        (left / file.name).write_bytes(file.read_bytes()[:1000])
    assert_scikit_learns(*load_digits(tmp_path))


@pytest.mark.parametrize("damage", ["data", "info"])
def test_damaged_folder_says_what_to_remove(shared_cache, tmp_path, damage):
    load_digits(shared_cache)
    folder = prepared(tmp_path)
    folder.mkdir(parents=True)
    for file in prepared(shared_cache).iterdir():
        content = file.read_bytes()
        if damage == "data" and "tfrecord" in file.name:
            content = content[: len(content) // 2]
        if damage == "data" or "dataset_info" not in file.name:
            (folder / file.name).write_bytes(content)
    with pytest.raises(RuntimeError, match=f"{folder} cannot be read. Remove"):
        load_digits(tmp_path)


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/data .*Set REGIMEN_CACHE"):
        load_digits(tmp_path / "file" / "data")


@pytest.mark.slow
def test_two_processes_prepare_at_once_after_one_was_killed(tmp_path):
    killed = run(KILLED, tmp_path)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    left = [path.name for path in (tmp_path / "regimen_digits").iterdir()]
    assert len(left) == 1
    assert left[0].startswith("incomplete.")
    both = [run(LOADED, tmp_path) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    printed = [process.communicate("go\n")[0] for process in both]
    images, labels = load_digits(tmp_path)
    assert_scikit_learns(images, labels)
    whole = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert printed == [f"{whole}\n"] * 2
