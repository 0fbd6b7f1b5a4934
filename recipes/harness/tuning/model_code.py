"""Which code a model's trials depend on."""

import hashlib
import importlib.util
import inspect
import re
import sys
import sysconfig
from pathlib import Path
from typing import Any

from ..evidence.code_hash import code_files, code_hash, imports_hash
from ..refusal import RefusalError


def source_hash(model: Any) -> str:
    """Returns 16 hexadecimal digits that stand for a model's source.

    The source text of its function or class, what an instance holds, and the
    user's own modules that its file imports. Other functions of that file are
    not followed: name searches apart when those change.

    Args:
        model: A HyperModel, its class, or a function.
    """
    kept = ""
    if not inspect.isfunction(model) and not inspect.isclass(model):
        # Addresses differ from process to process.
        held = {n: v for n, v in vars(model).items() if n[0] != "_"}
        kept = re.sub(r" at 0x[0-9a-f]+", "", repr(sorted(held.items())))
    kind = model if not kept and callable(model) else type(model)
    try:
        text = inspect.getsource(kind)
    except (OSError, TypeError):
        code = getattr(model, "__code__", None)
        text = repr(code and (code.co_code, code.co_consts)) + repr(kind)
    file = _file_of(kind)
    if file is not None:
        kept += imports_hash(file, home=_home(kind.__module__, file))
    return hashlib.sha256((text + kept).encode()).hexdigest()[:16]


def source_files(model: Any) -> tuple[Path, ...]:
    """Returns the user's own files that a model's source is imported from.

    Args:
        model: As of `source_hash`.
    """
    plain = inspect.isfunction(model) or inspect.isclass(model)
    kind = model if plain else type(model)
    file = _file_of(kind)
    if file is None:
        return ()
    own, *others = code_files(file, home=_home(kind.__module__, file)).values()
    # What a script or a notebook defines is sent as it is.
    return tuple(others if kind.__module__ == "__main__" else [own, *others])


def module_hash(name: str, folder: str) -> str:
    """Returns 16 hexadecimal digits for the code of `module:HyperModel`.

    That of its file, and of the user's own modules that it imports.

    Args:
        name: String, `module:HyperModel` or `file.py:HyperModel`.
        folder: Where modules and relative files lie.

    Raises:
        RefusalError: If there is no such file, or it is no Python.
    """
    file, home = _named(name, folder)
    if home is None:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return code_hash(file, home=home)


def module_files(name: str, folder: str) -> tuple[Path, ...]:
    """Returns the files that `module_hash` stands for.

    Args:
        name: As of `module_hash`.
        folder: As of `module_hash`.
    """
    file, home = _named(name, folder)
    return (file,) if home is None else (*code_files(file, home=home).values(),)


def _named(name: str, folder: str) -> tuple[Path, Path | None]:
    """Returns a module's file, and where it finds its imports.

    None for what is installed, whose versions are the user's own matter.
    """
    place = name.rpartition(":")[0]
    file = Path(place) if place.endswith(".py") else None
    if file is None:
        if folder not in sys.path:
            sys.path.insert(0, folder)
        try:
            found = importlib.util.find_spec(place)
        except (ImportError, ValueError):
            found = None
        if found is None or found.origin is None:
            raise RefusalError(f"cannot find a module {place!r} in {folder}")
        file = Path(found.origin)
    file = (Path(folder) / file.expanduser()).resolve()
    if not file.is_file():
        raise RefusalError(f"there is no file {str(file)!r}")
    return file, None if _is_installed(file) else _home(place, file)


def _file_of(kind: Any) -> Path | None:
    """Returns the user's own file that defines a function or a class."""
    try:
        name = inspect.getsourcefile(kind)
    except TypeError:
        return None
    # A notebook's cells have names of files that are not there.
    if name is None or not name.endswith(".py") or not Path(name).is_file():
        return None
    file = Path(name).resolve()
    return None if _is_installed(file) else file


def _is_installed(file: Path) -> bool:
    paths = map(sysconfig.get_path, ("purelib", "platlib", "stdlib"))
    return any(file.is_relative_to(Path(path).resolve()) for path in paths)


def _home(module: str, file: Path) -> Path:
    """Returns the folder from which a module of that name is imported.

    >>> _home("project.models", Path("/home/me/project/models.py")).name
    'me'
    """
    parts = tuple(module.split("."))
    inner = file.parent if file.name == "__init__.py" else file.with_suffix("")
    if inner.parts[-len(parts) :] != parts:
        return file.parent  # A script, or a file that is given by its path.
    return inner.parents[len(parts) - 1]
