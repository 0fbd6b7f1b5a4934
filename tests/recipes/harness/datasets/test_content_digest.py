import hashlib
import os

from keras_regimen.recipes.harness.datasets.content_digest import content_digest


def test_a_file_has_the_sha_256_of_its_bytes_wherever_it_lies(tmp_path):
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    for path in (a, b):
        path.write_bytes(b"x,y\n1,2\n")
    expected = hashlib.sha256(b"x,y\n1,2\n").hexdigest()
    assert content_digest(a) == content_digest(b) == expected


def test_a_change_of_the_same_length_is_another_digest(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,2")
    before = content_digest(path)
    path.write_bytes(b"1,3")
    os.utime(path, ns=(1, 1))  # Whatever the clock's grain.
    assert content_digest(path) != before


def test_a_folder_counts_by_names_and_bytes_and_not_by_its_place(tmp_path):
    def folder(name, **files):
        root = tmp_path / name
        root.mkdir()
        for file, text in files.items():
            (root / file).write_text(text)
        return content_digest(root, sorted(root.iterdir()))

    one = folder("one", a="1", b="2")
    assert one == folder("two", a="1", b="2")
    assert one != folder("three", a="2", b="1")
    assert one != folder("four", a="1", c="2")
