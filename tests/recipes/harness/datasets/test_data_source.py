import contextlib
import socket
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from keras_regimen.recipes.harness import datasets
from keras_regimen.recipes.harness.datasets import data_source
from keras_regimen.recipes.harness.datasets.digits_builder import load_digits
from keras_regimen.recipes.harness.datasets.row_parts import row_parts
from keras_regimen.recipes.harness.refusal import RefusalError


def moons(seed):
    return seed


class Drawn:
    def __call__(self, seed):
        return seed


def test_a_name_stands_for_what_the_recipe_declares():
    assert data_source.condition({"": moons}, "") is moons
    # Even where the package has data of that name.
    assert data_source.condition({"wine": moons}, "wine") is moons


@pytest.mark.parametrize("name", data_source.BUNDLED)
def test_other_names_are_bundled_data_with_default_settings(name):
    source = data_source.condition({"": moons}, name)
    assert source == getattr(datasets, name)()
    assert data_source.label(source) == f"{name}()"


def test_an_unknown_name_is_refused_with_the_known_ones():
    bundled = ", ".join(data_source.BUNDLED)
    for declared, own in (
        ({"": moons}, ""),
        ({"noisy": moons, "clean": moons}, "noisy, clean, "),
    ):
        with pytest.raises(RefusalError) as refused:
            data_source.condition(declared, "mnits")
        assert str(refused.value).startswith(
            f"no data named 'mnits'; known are {own}{bundled}; a table is "
        )


@pytest.mark.parametrize(
    ("source", "label"),
    [
        (datasets.wine(label_noise=0.25), "wine(label_noise=0.25)"),
        (moons, "moons"),
        (Drawn(), "Drawn"),
        (partial(moons), "partial"),
    ],
)
def test_a_row_says_what_drew_its_data(source, label):
    assert data_source.label(source) == label


@pytest.fixture
def folder(tmp_path):
    rows = "".join(f"{i % 5},{i % 3},{i % 2}\n" for i in range(40))
    (tmp_path / "t.csv").write_text("a,b:c,y\n" + rows)
    (tmp_path / "wine").write_text("a file of the user's")
    y = np.arange(40) % 2
    np.savez(tmp_path / "a.npz", x=np.eye(40), y=y)
    return tmp_path


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("t.csv:y", "t.csv:y"),
        ("./t.csv:b:c", "t.csv:b:c"),
        ("a.npz", "a.npz"),
    ],
)
def test_paths_begin_at_the_users_folder(folder, word, label):
    source = data_source.own_data((), word, folder)
    assert source.label == label
    assert data_source.label(source) == source.name
    absolute = data_source.own_data((), str(folder / word), "/")
    assert absolute == source


@pytest.mark.parametrize("word", ["wine", "clean"])
def test_names_of_the_recipe_and_the_package_come_first(folder, word):
    assert data_source.own_data(("noisy", "clean"), word, folder) is None


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("t.csv", "which column of t.csv is the target.*it has a, b:c, y"),
        ("t.csv:z", "t.csv has no column 'z'; it has a, b:c, y"),
        ("u.csv:y", "there is no file or folder .*u.csv$"),
        ("u.npz", "there is no file or folder .*u.npz$"),
        ("photos/", "there is no file or folder .*photos$"),
        ("mnits", "no data named 'mnits'; known are noisy, b"),
        ("two words", "no data named 'two words'"),
    ],
)
def test_what_is_not_there_is_a_sentence(folder, word, sentence):
    with pytest.raises(RefusalError, match=sentence):
        data_source.own_data(("noisy",), word, folder, folder)


def test_tfds_sets_are_looked_for_where_the_variable_says(folder, monkeypatch):
    load_digits(folder / "tfds")
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder / "tfds"))
    source = data_source.own_data((), "regimen_digits", folder)
    assert source.label == "regimen_digits:1.0.0"
    monkeypatch.delenv("TFDS_DATA_DIR")
    named = data_source.own_data((), "regimen_digits", folder, Path("tfds"))
    assert named == source
    images, labels = load_digits(folder / "tfds")
    rows = row_parts(labels.astype("int32"), 0)[2]
    x, y = source(0).test
    np.testing.assert_array_equal(x, images[rows].astype("float32") / 255)
    np.testing.assert_array_equal(y, labels[rows])


@pytest.mark.parametrize(
    ("word", "script", "refused"),
    [
        ("mnist", "", True),
        ("mnist", "data={'mnist': digits()}", False),
        ("mnits", "", False),
        ("wine", "", False),
        ("t.csv:y", "", False),
        (None, "", False),
    ],
)
def test_a_set_that_cannot_be_had_is_refused_before_a_process_starts(
    folder, monkeypatch, word, script, refused
):
    file = folder / "recipe.py"
    file.write_text(script)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # Bound, and nobody listens.
        closed = f"http://127.0.0.1:{held.getsockname()[1]}"
        monkeypatch.setenv("https_proxy", closed)
        expected = pytest.raises(RefusalError, match="cannot be downloaded")
        with expected if refused else contextlib.nullcontext():
            data_source.look_ahead(file, word, folder, folder / "tfds")


def test_a_folder_of_the_users_is_not_looked_for_elsewhere(folder, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    (folder / "mnist").mkdir()
    data_source.look_ahead(folder / "t.csv", "mnist", folder, folder / "tfds")
