"""Filling in the templates that lie beside this file."""

import base64
import functools
import hashlib
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

_FOLDER = Path(__file__).parent


def fill(name: str, **values: Any) -> str:
    """Returns a template with its values, which are escaped.

    Args:
        name: String. The file's name without `.jinja`.
        **values: What the template asks for; a missing one is an error.
    """
    return _environment().get_template(f"{name}.jinja").render(**values)


def part(name: str) -> Markup:
    """Returns a style sheet or a script as it stands in its file."""
    return Markup((_FOLDER / name).read_text().strip())  # noqa: S704


def digest_of(script: str) -> str:
    """Returns what a content security policy calls a script by."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
