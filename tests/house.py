"""The rules of the house, as functions from a tree to what breaks them.

Each returns a list of sentences, empty where the rule is kept. They read
files and never import them, except where an object itself is asked for.
"""

import ast
import doctest
import graphlib
import importlib
import inspect
import io
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import keras
import numpy as np

PACKAGE = "keras_regimen"
# A file belongs to the longest of these paths that it lies under.
FLOORS = {
    ".": 0,
    "custom_layers": 1,
    "custom_regularizers": 1,
    "custom_optimizers": 1,
    "custom_models": 2,
    "callbacks": 3,
    "recipes/harness": 4,
    "recipes": 5,
    "recipes/cli.py": 6,
}
TOPS = sorted({name.partition("/")[0] for name in FLOORS} - {"."})
# Layers and callbacks that implement no paper.
NO_PAPER: frozenset[str] = frozenset({"AnnealedGaussianNoise", "Anneal"})


def modules(root):
    """Returns the files of all floors, as paths relative to `root`."""
    files = [file for top in TOPS for file in (root / top).rglob("*.py")]
    return sorted(file.relative_to(root) for file in files)


def dotted(module):
    """Returns the name under which a file of the package is imported."""
    parts = module.with_suffix("").parts
    return ".".join([PACKAGE, *(p for p in parts if p != "__init__")])


def floor(path):
    for place in [path, *path.parents]:
        if place.as_posix() in FLOORS:
            return FLOORS[place.as_posix()]
    raise ValueError(f"no floor holds {path}")


# Imports.


def imports(root, module):
    """Yields the package's files that a module imports.

    As `(line, path, at_import)`: `at_import` is False in functions and under
    `TYPE_CHECKING`, where an import can make no circle.
    """
    tree = ast.parse((root / module).read_bytes())
    for node, at_import in _import_statements(tree):
        if isinstance(node, ast.Import):
            sought = [(alias.name.split("."), []) for alias in node.names]
        else:
            parts = node.module.split(".") if node.module else []
            if node.level:
                parts = [PACKAGE, *module.parts[: -node.level], *parts]
            sought = [(parts, [alias.name for alias in node.names])]
        for (top, *parts), names in sought:
            if top == PACKAGE:
                for path in _targets(root, Path(*parts), names):
                    if path != module:
                        yield node.lineno, path, at_import


def _import_statements(node, at_import=True):
    for child in ast.iter_child_nodes(node):
        runs = at_import and not isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        )
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(
            child.test
        ):
            runs = False
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, runs
        yield from _import_statements(child, runs)


def _targets(root, path, names):
    if not (root / path).is_dir():
        return [path.with_suffix(".py")]
    # A name is a submodule, or what the folder hands on.
    below = [path / f"{name}.py" for name in names]
    below += [path / name / "__init__.py" for name in names]
    found = [file for file in below if (root / file).is_file()]
    handed_on = len(found) < len(names) or not names
    return [*found, path / "__init__.py"] if handed_on else found


def climbing_imports(root):
    return [
        f"{module}:{line} imports {path}, from floor {floor(module)} up to "
        f"{floor(path)}"
        for module in modules(root)
        for line, path, _ in imports(root, module)
        if floor(path) > floor(module)
    ]


def import_circles(root):
    graph = {
        module: {path for _, path, now in imports(root, module) if now}
        for module in modules(root)
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [" is imported by ".join(map(str, error.args[1]))]
    return []


# Folders.


def missing_tests(root):
    expected = {
        module: Path("tests", *module.parent.parts, f"test_{module.name}")
        for module in modules(root)
        if not module.name.startswith("_")
    }
    return [
        f"{module} has no {test}"
        for module, test in expected.items()
        if not (root / test).is_file()
    ]


def packages(root):
    return {PACKAGE} | {
        ".".join([PACKAGE, *module.parent.parts]) for module in modules(root)
    }


def package_mismatches(root):
    """Compares the packages of pyproject.toml with the folders."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())
    listed = settings["tool"]["setuptools"]["packages"]
    return sorted(
        [f"not in pyproject.toml: {p}" for p in packages(root) - set(listed)]
        + [f"no such folder: {p}" for p in set(listed) - packages(root)]
        + [f"listed twice: {p}" for p in set(listed) if listed.count(p) > 1]
    )


def wheel_files(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def wheel_packages(wheel):
    """Returns the packages of all Python files in a wheel."""
    files = map(Path, wheel_files(wheel))
    return {".".join(f.parent.parts) for f in files if f.suffix == ".py"}


# Public names and their docstrings.


def public_names(root, highest_floor):
    """Returns the classes and functions that folders hand on, by name."""
    found = {}
    for module in modules(root):
        if module.name == "__init__.py" and 0 < floor(module) <= highest_floor:
            package = importlib.import_module(dotted(module))
            # The harness hands all its names on from one place.
            for name in getattr(package, "__all__", ()):
                thing = getattr(package, name)
                if inspect.isclass(thing) or inspect.isfunction(thing):
                    found[f"{thing.__module__}.{name}"] = thing
    return found


def sections(thing):
    """Returns the sections of a docstring by title; "" is what stands first."""
    doc = inspect.cleandoc(thing.__doc__ or "")
    first, *rest = re.split(r"^([A-Z][a-z]+(?: [a-z]+)?):$", doc, flags=re.M)
    return {"": first} | dict(zip(rest[::2], rest[1::2], strict=True))


def missing_sections(thing, no_paper=NO_PAPER):
    """Returns which sections of the house's docstrings a public name lacks."""
    found = sections(thing)
    is_class = inspect.isclass(thing)
    layer = is_class and issubclass(thing, keras.layers.Layer)
    layer = layer and not issubclass(thing, keras.Model)
    callback = is_class and issubclass(thing, keras.callbacks.Callback)
    paper = (layer or callback) and thing.__name__ not in no_paper
    raises = re.search(r"\braise ValueError\b", inspect.getsource(thing))
    required = {
        "Args": [p for p in _parameters(thing) if not p.startswith("*")],
        "Call arguments": layer,
        "Returns": layer,
        "Raises": raises,
        "Example": True,
        "Reference": paper,
    }
    lacking = [
        f"no `{title}:`"
        for title, needed in required.items()
        if needed and not found.get(title, "").strip()
    ]
    if not found[""].partition("\n\n")[0].rstrip().endswith("."):
        lacking.insert(0, "no first sentence")
    if "Example" in found and ">>> " not in found["Example"]:
        lacking.append("no doctest in `Example:`")
    return lacking


def argument_mismatches(thing):
    """Compares a docstring's `Args:` with the signature, in their order."""
    parameters = _parameters(thing)
    text = sections(thing).get("Args", "")
    documented = re.findall(r"^    (\*{0,2}\w[\w, *]*):", text, flags=re.M)
    # `*args` and `**kwargs` may stand there or not.
    starred = [p for p in parameters if p.startswith("*")]
    needed = [p for p in parameters if p in documented or p not in starred]
    if documented == needed:
        return []
    return [f"Args are {documented}, the signature has {parameters}"]


def _parameters(thing):
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return []  # An error takes its message.
    signature = inspect.signature(thing).parameters.values()
    stars = {inspect.Parameter.VAR_POSITIONAL: "*"}
    stars[inspect.Parameter.VAR_KEYWORD] = "**"
    return [stars.get(p.kind, "") + p.name for p in signature]


def failing_doctests(module):
    """Runs the examples of a module's own docstrings.

    They may use `keras` and `np`, which stand for what every reader expects.
    """
    shown = io.StringIO()
    finder = doctest.DocTestFinder()
    runner = doctest.DocTestRunner(verbose=False)
    known = {"keras": keras, "np": np}
    for test in finder.find(module, module.__name__, extraglobs=known):
        runner.run(test, out=shown.write)
    return [shown.getvalue()] if runner.failures else []


# The cost of an import.


def loaded_by(statement, names):
    """Returns which of the modules a statement loads, in a fresh process."""
    program = f"import sys; {statement}; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return sorted(set(names) & set(done.stdout.split()))
