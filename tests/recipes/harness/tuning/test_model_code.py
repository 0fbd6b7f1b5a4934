import importlib
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from keras_regimen.recipes.harness.refusal import RefusalError
from keras_regimen.recipes.harness.tuning.model_code import (
    module_files,
    module_hash,
    source_files,
    source_hash,
)

FILES = {
    "models.py": """
        import numpy

        from keras_regimen.custom_layers import StochasticDepth
        from blocks import block


        def build(hp):
            return block(hp)


        class Sized:
            def __init__(self):
                self.size = 3


        if __name__ == "__main__":
            print(build(None))
    """,
    "blocks.py": """
        from sizes import UNITS


        def block(hp):
            return UNITS
    """,
    "sizes.py": "UNITS = 3",
    "unrelated.py": "UNITS = 4",
    "project/__init__.py": "",
    "project/models.py": """
        import project.layers
        from shared import SIZE

        from .parts import part


        def build(hp):
            return part(hp) + project.layers.WIDTH + SIZE
    """,
    "project/parts.py": "def part(hp): return 1",
    "project/layers.py": "WIDTH = 2",
    "project/other.py": "WIDTH = 3",
    "shared.py": "SIZE = 4",
}


class Held:
    def __init__(self, units):
        self.units = units


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's folder, from which one file and one package are searched."""
    known = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    importlib.invalidate_caches()
    yield tmp_path
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("place", "counted", "passed_over"),
    [
        (
            "models.py",
            ["models.py", "blocks.py", "sizes.py"],
            ["unrelated.py", "project/models.py"],
        ),
        (
            "models",
            ["models.py", "blocks.py", "sizes.py"],
            ["unrelated.py", "project/models.py"],
        ),
        (
            "project.models",
            [
                "project/models.py",
                "project/parts.py",
                "project/layers.py",
                "shared.py",
            ],
            ["project/other.py", "models.py"],
        ),
    ],
)
def test_an_edited_helper_is_other_code(folder, place, counted, passed_over):
    name = f"{place}:build"
    before = module_hash(name, str(folder))
    own = {
        f for f in module_files(name, str(folder)) if f.is_relative_to(folder)
    }
    assert own == {folder / file for file in counted}
    for file in (*counted, *passed_over):
        path = folder / file
        text = path.read_text()
        path.write_text(text + "\nEDITED = True\n")
        changed = module_hash(name, str(folder)) != before
        assert changed == (file in counted), file
        path.write_text(f"# A comment.\n{text}")
        assert module_hash(name, str(folder)) == before
        path.write_text(text)


def test_a_component_of_the_package_counts_and_what_is_installed_does_not(
    folder,
):
    files = module_files("models.py:build", str(folder))
    assert "stochastic_depth.py" in {file.name for file in files}
    assert not any("site-packages" in file.parts for file in files)
    assert module_files("numpy:array", str(folder)) == (
        Path(np.__file__).resolve(),
    )


def test_a_function_brings_what_its_file_imports(folder):
    module = importlib.import_module("models")
    build = module.build
    before, of_instance = source_hash(build), source_hash(module.Sized())
    assert {folder / "models.py", folder / "sizes.py"} < {*source_files(build)}
    (folder / "sizes.py").write_text("UNITS = 30\n")
    assert source_hash(build) != before
    assert source_hash(module.Sized()) != of_instance
    (folder / "sizes.py").write_text("UNITS = 3\n")
    # Its own file has other things in it.
    text = (folder / "models.py").read_text()
    (folder / "models.py").write_text(text + "\n\nOTHER = 1\n")
    assert source_hash(build) == before


def test_what_a_script_defines_is_sent_and_what_it_imports_is_not(
    folder, monkeypatch
):
    build = importlib.import_module("models").build
    monkeypatch.setattr(build, "__module__", "__main__")
    names = {file.name for file in source_files(build)}
    assert "blocks.py" in names
    assert "models.py" not in names


def test_an_edited_source_is_other_code():
    def one(hp):
        return 1

    def two(hp):
        return 2

    assert source_hash(one) != source_hash(two)
    assert source_hash(Held(1)) != source_hash(Held(2))
    assert source_hash(Held(1)) == source_hash(Held(1))


def test_what_has_no_file_is_known_by_what_it_does():
    names = {}
    exec("def one(hp): return 1\ndef two(hp): return 2", names)  # noqa: S102
    assert source_hash(names["one"]) != source_hash(names["two"])
    assert source_files(names["one"]) == ()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_such:Mine", "cannot find a module 'no_such' in"),
        ("no_such.py:Mine", "there is no file"),
        ("broken.py:Mine", r"broken\.py, line 1: "),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(folder, name, sentence):
    (folder / "broken.py").write_text("def build(:\n")
    with pytest.raises(RefusalError, match=sentence):
        module_hash(name, str(folder))
