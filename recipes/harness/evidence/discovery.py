"""Where recipes are, and how a file becomes a recipe."""

import difflib
import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..refusal import RefusalError

if TYPE_CHECKING:
    from ..contract.recipe import Recipe

PACKAGE = Path(__file__).resolve().parents[3]
_ROOT_NAME = __name__.partition(".")[0]


def shipped() -> dict[str, Path]:
    """Returns the recipes of the package by name, in the order of topics."""
    scripts = sorted((PACKAGE / "recipes").glob("*/*.py"))
    return {
        script.stem: script
        for script in scripts
        if not script.stem.startswith("_") and script.parent.name != "harness"
    }


def find(name: str) -> Path:
    """Returns the script that a name or a path stands for.

    Args:
        name: String. A shipped recipe's name, or the path of a `.py` file.

    Raises:
        RefusalError: If there is no such recipe, with the nearest names.

    Example:

    >>> find("dropout").name
    'dropout.py'
    """
    if name.endswith(".py"):
        path = Path(name).expanduser().resolve()
        if not path.is_file():
            raise RefusalError(f"no recipe file {name!r}")
        return path
    recipes = shipped()
    if name not in recipes:
        near = difflib.get_close_matches(name, recipes, n=2)
        hint = f"; did you mean {' or '.join(near)}?" if near else ";"
        raise RefusalError(
            f"no recipe named {name!r}{hint} `regimen list` shows them all"
        )
    return recipes[name]


def is_shipped(file: Path) -> bool:
    """Returns whether a script is one of the package's own."""
    return shipped().get(file.stem) == file


def load(file: Path) -> "Recipe":
    """Returns the `recipe` that a script declares.

    A script of the package is imported under the package's name; a user's
    own file under its path, with its folder importable, so that a helper
    beside it is found. A file is imported once in a process, until edited.

    Raises:
        RefusalError: If the file has no `recipe`, or declares a wrong one.
    """
    from ..contract.recipe import Recipe

    name = _module_name(file)
    module = sys.modules.get(name)
    if module is None:
        try:
            module = _import(file, name)
        except (ValueError, SyntaxError) as error:
            raise RefusalError(f"{file}: {error}") from error
    recipe = getattr(module, "recipe", None)
    if not isinstance(recipe, Recipe):
        raise RefusalError(
            f"{file} declares no recipe: it must end in `recipe = Recipe(...)`."
            f" A model is searched by `regimen tune {file.name}:NAME`"
        )
    return recipe


def _module_name(file: Path) -> str:
    if file.is_relative_to(PACKAGE) and is_shipped(file):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        return ".".join((_ROOT_NAME, *parts))
    # The content stands in the name, so that a notebook sees an edited file.
    content = hashlib.sha256(str(file).encode() + file.read_bytes())
    return f"regimen_recipe_{file.stem}_{content.hexdigest()[:8]}"


def _import(file: Path, name: str):
    if name.startswith(f"{_ROOT_NAME}."):
        return importlib.import_module(name)
    folder = str(file.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise RefusalError("its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
