"""Which code a recipe's numbers depend on, found without importing any.

A recipe's row of evidence carries the hash of the recipe and of each
component that it imports, directly or not. Rows become stale when that code
changes, and only then: names are followed through the `__init__.py` that
hand them on to the one file that defines them, so another layer in the same
folder changes nothing. Docstrings, comments and layout don't count, nor do
`claims`, `arms` and `seeds` of a recipe: what an arm sets is part of a
cell's identity, and the wording of a claim changes no number. The harness
has a protocol number instead. An import whose name is computed is not seen.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .discovery import PACKAGE
from .source import parse, recipe_calls

PACKAGE_NAME = __name__.partition(".")[0]
_NO_NUMBERS = {"claims", "arms", "seeds"}
_HARNESS = f"{PACKAGE_NAME}.recipes.harness"


def code_hash(
    file: Path, package: Path = PACKAGE, home: Path | None = None
) -> str:
    """Returns 16 hexadecimal digits that stand for a recipe's code.

    Args:
        file: The recipe's script. Its own name and place don't count.
        package: The folder of `keras_regimen`.
        home: As of `code_files`.

    Raises:
        RefusalError: If a file is no Python, with the file and the line.
    """
    (_, own), *others = code_files(file, package, home).items()
    return _digest(_read(own).text, others)


def imports_hash(
    file: Path, package: Path = PACKAGE, home: Path | None = None
) -> str:
    """Returns 16 hexadecimal digits that stand for what a file imports.

    Args:
        file: A script or a module, whose own code doesn't count.
        package: The folder of `keras_regimen`.
        home: As of `code_files`.

    Raises:
        RefusalError: If a file is no Python, with the file and the line.
    """
    _, *others = code_files(file, package, home).items()
    return _digest("", others)


def code_files(
    file: Path, package: Path = PACKAGE, home: Path | None = None
) -> dict[str, Path]:
    """Returns the files that a recipe's numbers depend on, by name.

    The recipe comes first, then the others in the order of their names. A
    file of the package is named from `keras_regimen` on, a module beside a
    user's own recipe from the recipe's folder on.

    Args:
        file: The recipe's script.
        package: The folder of `keras_regimen`.
        home: The folder that a user's own file finds its imports from; by
            default the one that it lies in.

    Raises:
        RefusalError: If a file is no Python, with the file and the line.
    """
    file, package = file.resolve(), package.resolve()
    # What `import helper` finds beside a user's own recipe. Recipes of the
    # package import one another by their full name.
    if file.is_relative_to(package / "recipes"):
        home = None
    else:
        home = (home or file.parent).resolve()
    found, waiting = {file}, [file]
    while waiting:
        for target in _imported_files(waiting.pop(), package, home):
            harness = target.is_relative_to(package / "recipes" / "harness")
            if not harness and target not in found:
                found.add(target)
                waiting.append(target)

    def name(found_file: Path) -> str:
        if home and found_file.is_relative_to(home):
            return found_file.relative_to(home).as_posix()
        if not found_file.is_relative_to(package):
            return found_file.name  # A relative import out of `home`.
        return f"{PACKAGE_NAME}/{found_file.relative_to(package).as_posix()}"

    others = sorted((name(other), other) for other in found - {file})
    return {name(file) if home else file.name: file, **dict(others)}


def _digest(own: str, others: Iterable[tuple[str, Path]]) -> str:
    digest = hashlib.sha256(own.encode())
    for name, other in others:
        digest.update(f"\n{name}\n{_read(other).text}".encode())
    return digest.hexdigest()[:16]


class _Import(NamedTuple):
    level: int  # The number of leading dots.
    module: str
    names: tuple[str, ...]  # Empty for `import module`.


class _Code(NamedTuple):
    text: str
    imports: tuple[_Import, ...]


def _imported_files(file, package, home) -> Iterator[Path]:
    for level, module, names in _read(file).imports:
        parts = module.split(".") if module else []
        if level:
            start = file.parents[level - 1]
        elif parts[0] == PACKAGE_NAME:
            start, parts = package, parts[1:]
        elif home:
            start = home
        else:
            continue
        yield from _files(_module(start, parts), names)


def _module(folder: Path, parts: Iterable[str]) -> Path | None:
    """Returns the file or folder of a dotted name, in Python's precedence."""
    folder = folder.joinpath(*parts)
    script = folder.with_name(f"{folder.name}.py")
    if script.is_file() and not (folder / "__init__.py").is_file():
        return script
    return folder if folder.is_dir() else None


def _files(target: Path | None, names: Iterable[str]) -> Iterator[Path]:
    """Yields the files that define `names` of a module, or all of it."""
    if target is None:
        return
    if target.is_file():
        yield target
        return
    if not names:
        yield from _whole(target)
    for name in names:
        handed = _handed_on(target).get(name)
        below = _module(target, [name])
        if handed is None:
            yield from _files(below, ()) if below else _whole(target)
        elif not handed.level:  # Defined in the folder's `__init__.py`.
            yield target / "__init__.py"
        else:
            start = (target / "__init__.py").parents[handed.level - 1]
            origin = _module(start, filter(None, handed.module.split(".")))
            if origin == target and handed.names == (name,):
                yield from _files(below, ())  # `from . import name`
            else:
                yield from _files(origin, handed.names)


def _whole(folder: Path) -> Iterator[Path]:
    """Yields all modules of a folder that is imported as a whole."""
    for file in sorted(folder.glob("*.py")):
        if file.name != "__init__.py" or _defines_something(file):
            yield file
    for init in sorted(folder.glob("*/__init__.py")):
        yield from _whole(init.parent)


def _defines_something(init: Path) -> bool:
    return any(not origin.level for origin in _handed_on(init.parent).values())


def _handed_on(folder: Path) -> dict[str, _Import]:
    init = folder / "__init__.py"
    if not init.is_file():
        return {}
    return _hand_ons(init.read_bytes(), init)


@functools.lru_cache(maxsize=256)
def _hand_ons(content: bytes, init: Path) -> dict[str, _Import]:
    """Returns where each public name of an `__init__.py` comes from.

    Level 0 means that it is defined right there. A dictionary of strings is
    the table of a lazy `__getattr__`: names, and the submodules they are in.
    """
    origins = {}
    for node in parse(content, init).body:
        match node:
            case ast.ImportFrom(module, names, level) if level:
                for alias in names:
                    origin = _Import(level, module or "", (alias.name,))
                    origins[alias.asname or alias.name] = origin
            case ast.FunctionDef(name) | ast.ClassDef(name):
                origins[name] = _Import(0, "", (name,))
            case ast.Assign(value=ast.Dict(keys, values)) if all(
                isinstance(text, ast.Constant) and isinstance(text.value, str)
                for text in [*keys, *values]
            ):
                for name, home in ast.literal_eval(node.value).items():
                    origins[name] = _Import(1, home, (name,))
            case ast.Assign(targets=[ast.Name(name)]):
                origins[name] = _Import(0, "", (name,))
    return {
        name: origin
        for name, origin in origins.items()
        if not name.startswith("__")
    }


def _read(file: Path) -> _Code:
    return _read_content(file.read_bytes(), file)


@functools.lru_cache(maxsize=256)
def _read_content(content: bytes, file: Path) -> _Code:
    tree = parse(content, file)
    tree.body = [node for node in tree.body if not _runs_as_script(node)]
    for call in recipe_calls(tree):
        call.keywords = [k for k in call.keywords if k.arg not in _NO_NUMBERS]
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    imports = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [_Import(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").startswith(_HARNESS):
                # A metric that only a claim names goes with the claim.
                node.names = [
                    alias
                    for alias in node.names
                    if (alias.asname or alias.name) in used
                ]
            names = tuple(alias.name for alias in node.names)
            imports.append(_Import(node.level, node.module or "", names))
    return _Code(_canonical(tree), tuple(imports))


def _runs_as_script(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "__name__ == '__main__'",
        "'__main__' == __name__",
    )


def _canonical(node: object) -> str:
    """Returns the tree as text, the same in each version of Python.

    Unlike `ast.dump`, whose treatment of empty fields changed in 3.13; 3.12
    added fields that are mostly empty. Bare constants are docstrings, or do
    nothing.
    """
    if isinstance(node, list):
        kept = (
            _canonical(item)
            for item in node
            if not isinstance(getattr(item, "value", None), ast.Constant)
            or not isinstance(item, ast.Expr)
        )
        return f"[{','.join(kept)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (
        f"{name}={_canonical(value)}"
        for name, value in ast.iter_fields(node)
        if value is not None and value != []
    )
    return f"{type(node).__name__}({','.join(fields)})"
