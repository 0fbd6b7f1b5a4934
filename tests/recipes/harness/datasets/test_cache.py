from pathlib import Path

import pytest

from keras_regimen.recipes.harness.datasets.cache import (
    cache_directory,
    tfds_directory,
)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"REGIMEN_CACHE": "/a/b", "XDG_CACHE_HOME": "/x"}, "/a/b"),
        ({"REGIMEN_CACHE": "~/b"}, "/home/me/b"),
        ({"REGIMEN_CACHE": "", "XDG_CACHE_HOME": "/x"}, "/x/regimen"),
        ({}, "/home/me/.cache/regimen"),
    ],
)
def test_own_variable_goes_before_the_users_cache(
    monkeypatch, variables, expected
):
    monkeypatch.delenv("REGIMEN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    assert cache_directory() == Path(expected)


def test_relative_folder_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REGIMEN_CACHE", "here")
    assert cache_directory() == tmp_path / "here"


def test_tfds_sets_lie_where_tensorflow_datasets_itself_has_them(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/large/disk")
    assert tfds_directory() == Path("/large/disk")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert tfds_directory() == Path.home() / "tensorflow_datasets"
