"""The house keeps itself: its rules, and that each of them can be broken."""

import importlib
import importlib.util
import shutil
import subprocess
import sys
import textwrap
import types
import zipfile
from pathlib import Path

import keras
import pytest

ROOT = Path(__file__).resolve().parents[1]


def load_house():
    spec = importlib.util.spec_from_file_location(
        "house", Path(__file__).with_name("house.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


house = load_house()


def assert_none(found):
    assert found == [], "\n" + "\n".join(found)


@pytest.fixture
def tree(tmp_path):
    """Returns a function that writes a small house, given by its files."""

    def build(**files):
        floors = ("custom_layers", "custom_models", "callbacks")
        for name in (*floors, "recipes", "recipes/harness", "recipes/basics"):
            folder = tmp_path / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").touch()
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
        return tmp_path

    return build


# (a) Imports climb no floor and make no circle.


def test_imports_climb_no_floor():
    assert_none(house.climbing_imports(ROOT))


def test_imports_make_no_circle():
    assert_none(house.import_circles(ROOT))


@pytest.mark.parametrize(
    ("file", "line", "target"),
    [
        ("custom_layers/a.py", "from ..callbacks import B", "callbacks"),
        ("custom_layers/a.py", "from ..callbacks.b import B", "callbacks/b"),
        ("custom_layers/x/a.py", "from ...callbacks import B", "callbacks"),
        ("custom_layers/a.py", "from .. import callbacks", "callbacks"),
        ("custom_layers/a.py", "import keras_regimen.callbacks", "callbacks"),
        (
            "custom_layers/a.py",
            "from keras_regimen.custom_models.b import B",
            "custom_models/b",
        ),
        (
            "custom_models/a.py",
            "def f():\n    from ..callbacks import B",
            "callbacks",
        ),
        ("callbacks/a.py", "from ..recipes.harness import B", "harness"),
        ("recipes/harness/a.py", "from ..basics.b import B", "basics/b"),
        (
            "recipes/harness/a.py",
            "def f():\n    from ..cli import main",
            "recipes/cli.py",
        ),
        ("recipes/basics/a.py", "from ..cli import main", "recipes/cli.py"),
    ],
)
def test_planted_climb_is_found(tree, file, line, target):
    (found,) = house.climbing_imports(
        tree(**{file: line, "recipes/cli.py": "", "callbacks/b.py": ""})
    )
    assert found.startswith(f"{file}:{1 + line.count(chr(10))} imports ")
    assert target in found


def test_imports_downward_and_along_a_floor_are_fine(tree):
    root = tree(
        **{
            "custom_layers/a.py": "import keras",
            "custom_layers/x/b.py": "from ..a import y",
            "custom_regularizers/c.py": "from ..custom_layers.a import y",
            "callbacks/d.py": "from ..custom_models import z",
            "recipes/basics/e.py": "import keras_regimen.recipes.harness",
            "recipes/cli.py": "from .harness import x\nfrom .. import version",
        }
    )
    assert house.climbing_imports(root) == []


@pytest.mark.parametrize(
    "files",
    [
        {"a": "from .b import B", "b": "from .a import A"},
        {
            "a": "from . import b",
            "b": "from . import c",
            "c": "from .a import A",
        },
        {"__init__": "from .a import A", "a": "from . import B"},
        {"a": "import keras_regimen.callbacks.b", "b": "from .a import A"},
    ],
)
def test_planted_circle_is_found(tree, files):
    root = tree(**{f"callbacks/{name}.py": files[name] for name in files})
    (found,) = house.import_circles(root)
    assert all(f"callbacks/{name}.py" in found for name in files)


@pytest.mark.parametrize(
    "late",
    [
        "def f():\n    from .b import B",
        "if TYPE_CHECKING:\n    from .b import B",
        "class A:\n    def f(self):\n        from .b import B",
    ],
)
def test_late_import_makes_no_circle(tree, late):
    root = tree(
        **{"callbacks/a.py": late, "callbacks/b.py": "from .a import A"}
    )
    assert house.import_circles(root) == []


# (b) Each file has its test.


def test_each_public_file_has_a_test_at_the_mirrored_path():
    assert_none(house.missing_tests(ROOT))


def test_planted_file_without_a_test_is_found(tree):
    root = tree(
        **{
            "custom_layers/dropout/a.py": "",
            "tests/custom_layers/test_a.py": "",
            "custom_layers/dropout/_tensorflow.py": "",
            "recipes/basics/b.py": "",
            "tests/recipes/basics/test_b.py": "",
        }
    )
    assert house.missing_tests(root) == [
        "custom_layers/dropout/a.py has no "
        "tests/custom_layers/dropout/test_a.py"
    ]


# (c) and (d) Docstrings.


def violations(check, highest_floor):
    return [
        f"{name}: {found}"
        for name, thing in house.public_names(ROOT, highest_floor).items()
        for found in check(thing)
    ]


def test_public_names_have_the_sections_of_a_docstring():
    assert_none(violations(house.missing_sections, highest_floor=3))


def test_documented_arguments_are_those_of_the_signature():
    assert_none(violations(house.argument_mismatches, highest_floor=4))


def test_public_names_are_found_on_each_floor():
    names = house.public_names(ROOT, highest_floor=4)
    for floor in ("custom_layers", "custom_models", "callbacks", "recipes"):
        assert any(n.startswith(f"keras_regimen.{floor}.") for n in names)


SECTIONS = {
    "Args": "    rate: Float.\n    **kwargs: Base layer arguments.",
    "Call arguments": "    inputs: Tensor.",
    "Returns": "    Tensor.",
    "Raises": "    ValueError: If the rate is wrong.",
    "Example": "\n>>> Complete(0.5).rate\n0.5",
    "Reference": "\n- Somebody, 2016.",
}


def document(without=""):
    kept = [f"{t}:\n{SECTIONS[t]}" for t in SECTIONS if t != without]
    return "\n\n".join(["Does it.", *kept])


class Complete(keras.layers.Layer):
    __doc__ = document()

    def __init__(self, rate, **kwargs):
        if rate > 1:
            raise ValueError(rate)
        super().__init__(**kwargs)


def test_complete_docstring_lacks_nothing():
    assert house.missing_sections(Complete) == []
    assert house.argument_mismatches(Complete) == []


@pytest.mark.parametrize("title", SECTIONS)
def test_planted_gap_in_a_docstring_is_found(monkeypatch, title):
    monkeypatch.setattr(Complete, "__doc__", document(without=title))
    assert house.missing_sections(Complete) == [f"no `{title}:`"]


def test_planted_poor_docstrings_are_found(monkeypatch):
    whole = document()
    monkeypatch.setattr(Complete, "__doc__", whole.replace("Does it.", "Does"))
    assert house.missing_sections(Complete) == ["no first sentence"]
    monkeypatch.setattr(Complete, "__doc__", whole.replace(">>> ", ""))
    assert house.missing_sections(Complete) == ["no doctest in `Example:`"]
    monkeypatch.setattr(Complete, "__doc__", None)
    assert len(house.missing_sections(Complete)) == 7


def test_sections_are_asked_for_where_they_apply():
    def plain():
        """Does it.

        Example:

        >>> 1
        1
        """

    assert house.missing_sections(plain) == []

    class Quiet(keras.callbacks.Callback):
        __doc__ = plain.__doc__

    assert house.missing_sections(Quiet) == ["no `Reference:`"]
    assert house.missing_sections(Quiet, no_paper={"Quiet"}) == []


@pytest.mark.parametrize(
    ("arguments", "documented", "fine"),
    [
        ("a, b=1, **kwargs", "a b **kwargs", True),
        ("a, b=1, **kwargs", "a b", True),
        ("a, *args, b=1", "a *args b", True),
        ("a, b=1", "b a", False),
        ("a, b=1", "a", False),
        ("a", "a b", False),
        ("a", "a **kwargs", False),
        ("a, b", "", False),
        ("", "", True),
    ],
)
def test_planted_wrong_arguments_are_found(arguments, documented, fine):
    space = {}
    exec(f"def f({arguments}): pass", space)  # noqa: S102
    lines = [
        f"    {name}: What.\n        more: of it."
        for name in documented.split()
    ]
    space["f"].__doc__ = "Does it.\n\nArgs:\n" + "\n".join(lines)
    assert (house.argument_mismatches(space["f"]) == []) == fine


# (e) Packages.


def test_packages_are_the_folders():
    assert_none(house.package_mismatches(ROOT))


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (["callbacks"], ["not in pyproject.toml: keras_regimen.custom_layers"]),
        (
            ["callbacks", "custom_layers", "gone"],
            ["no such folder: keras_regimen.gone"],
        ),
        (
            ["callbacks", "custom_layers", "tests"],
            ["no such folder: keras_regimen.tests"],
        ),
        (
            ["callbacks", "custom_layers", "callbacks"],
            ["listed twice: keras_regimen.callbacks"],
        ),
        (["callbacks", "custom_layers"], []),
    ],
)
def test_planted_package_mismatch_is_found(tmp_path, listed, found):
    for name in ("callbacks", "custom_layers", "tests", "docs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").touch()
    names = ["keras_regimen", *(f"keras_regimen.{name}" for name in listed)]
    (tmp_path / "pyproject.toml").write_text(
        f"[tool.setuptools]\npackages = {names}"
    )
    assert house.package_mismatches(tmp_path) == found


@pytest.mark.slow
def test_wheel_holds_folders_evidence_and_pages(tmp_path):
    source = tmp_path / "source"
    # A build leaves files in its tree, and takes those of an earlier one.
    leave = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=leave)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path]
    subprocess.run([*pip, "wheel", source, *options], check=True)
    (wheel,) = tmp_path.glob("keras_regimen-*.whl")
    assert house.wheel_packages(wheel) == house.packages(ROOT)
    rows = {
        f"keras_regimen/evidence/{file.name}"
        for file in (ROOT / "evidence").glob("*.jsonl")
    }
    assert rows <= house.wheel_files(wheel)
    pages = (ROOT / "recipes/harness/report").iterdir()
    pages = [file for file in pages if file.suffix in (".css", ".jinja", ".js")]
    assert pages
    assert {
        f"{house.PACKAGE}/{file.relative_to(ROOT)}" for file in pages
    } <= house.wheel_files(wheel)


def test_planted_folder_in_a_wheel_is_found(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        for name in ("keras_regimen/a.py", "tests/b.py", "docs/c.txt"):
            archive.writestr(name, "")
    found = house.wheel_packages(tmp_path / "a.whl")
    assert found == {"keras_regimen", "tests"}


# (f) Examples.


@pytest.mark.parametrize(
    "name", [house.dotted(module) for module in house.modules(ROOT)]
)
def test_examples_show_what_happens(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name.startswith("keras_regimen"):
            raise
        pytest.skip(f"needs {error.name}")
    assert_none(house.failing_doctests(module))


def test_planted_wrong_example_is_found():
    module = types.ModuleType("planted")
    exec("def f():\n    '''\n    >>> 1 + 1\n    2\n    '''", vars(module))  # noqa: S102
    assert house.failing_doctests(module) == []
    module.f.__doc__ = ">>> 1 + 1\n3\n"
    (shown,) = house.failing_doctests(module)
    assert "Expected:\n    3\nGot:\n    2\n" in shown


# (g) Commands that only read stay quick.


@pytest.mark.parametrize("name", ["keras_regimen", "keras_regimen.recipes.cli"])
def test_import_loads_no_heavy_library(name):
    heavy = ["keras", "tensorflow", "scipy.stats", "pandas"]
    assert house.loaded_by(f"import {name}", heavy) == []


def test_planted_heavy_import_is_found():
    assert house.loaded_by("import json", ["json", "keras"]) == ["json"]
