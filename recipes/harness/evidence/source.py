"""What a recipe's source says of itself, read without importing it.

Importing a recipe loads Keras, which takes seconds; a listing has one.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..refusal import RefusalError

_ASKS_BY_NAME = {"Boolean", "Choice", "Fixed", "Float", "Int", "get"}


@dataclass(frozen=True)
class Source:
    """What a listing shows of a recipe.

    Args:
        name: String. The file's name without its suffix.
        topic: String. The folder's name.
        summary: String. The first line of the docstring.
        claim: String. The statement of the first claim; empty where it is
            not written out as a literal.
    """

    name: str
    topic: str
    summary: str
    claim: str


def parse(content: bytes, file: Path) -> ast.Module:
    """Returns the syntax tree of a file's content.

    Raises:
        RefusalError: If it is no Python, with the file and the line.
    """
    try:
        return ast.parse(content)
    except SyntaxError as error:
        raise RefusalError(
            f"{file}, line {error.lineno}: {error.msg}"
        ) from error
    except ValueError as error:  # A null byte, in some versions of Python.
        raise RefusalError(f"{file}: {error}") from error


def describe_source(file: Path) -> Source:
    """Returns name, topic, summary and headline claim of a recipe's script.

    Raises:
        RefusalError: If it is no Python, with the file and the line.
    """
    tree = parse(file.read_bytes(), file)
    summary, _, _ = (ast.get_docstring(tree) or "").partition("\n")
    claims = (
        claim
        for call in recipe_calls(tree)
        for keyword in call.keywords
        if keyword.arg == "claims" and hasattr(keyword.value, "elts")
        for claim in keyword.value.elts
    )
    first = next(claims, None)
    claim = None
    # Where the first comes out of a loop, no later one is the headline.
    if isinstance(first, ast.Call):
        claim = _literal(first, "statement")
    return Source(file.stem, file.resolve().parent.name, summary, claim or "")


def named_hyperparameters(file: Path) -> list[str]:
    """Returns the hyperparameters that a script asks `hp` for, by name.

    Those of hooks that run only in training are among them: `hp.Float(...)`
    and its like, `hp.get("rate")` and `hp["rate"]`, with a literal name.
    """
    tree = parse(file.read_bytes(), file)
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("hp"), attr=attr)):
                name = _literal(node, "name") if attr in _ASKS_BY_NAME else None
                names.update([name] if name else [])
            case ast.Subscript(
                value=ast.Name("hp"), slice=ast.Constant(value=str(name))
            ):
                names.add(name)
    return sorted(names)


def recipe_calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Yields the module-level calls of `Recipe`."""
    for statement in tree.body:
        call = getattr(statement, "value", None)
        if isinstance(call, ast.Call):
            name = getattr(call.func, "id", getattr(call.func, "attr", None))
            if name == "Recipe":
                yield call


def _literal(call: ast.Call, name: str) -> str | None:
    """Returns the string given first or by name, if it is a literal."""
    by_name = [k.value for k in call.keywords if k.arg == name]
    for node in [*call.args[:1], *by_name]:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
    return None
