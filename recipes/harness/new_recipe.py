"""A recipe file to start from, under a name of the user's own."""

import importlib.util
import keyword
import re
import shlex
import sys
from pathlib import Path

from .evidence import discovery
from .refusal import RefusalError

TEMPLATE = Path(__file__).with_name("recipe_template.py")


def new_recipe(name: str, folder: Path) -> Path:
    """Writes a recipe that runs as it is, to be made one's own.

    Args:
        name: String. The file's name without `.py`; Python must be able to
            import it, and no module or shipped recipe may bear it.
        folder: Where the file goes. It is made if it does not exist.

    Returns:
        The path of the new file.

    Raises:
        RefusalError: If the name won't do, the file exists (it is left as it
            is), or the folder cannot be written to.

    Example:

    >>> import tempfile
    >>> new_recipe("my_idea", Path(tempfile.mkdtemp())).name
    'my_idea.py'
    """
    _check_name(name)
    file = folder.expanduser() / f"{name}.py"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as script:
            script.write(TEMPLATE.read_text(encoding="utf-8"))
    except FileExistsError as error:
        raise RefusalError(
            f"{str(error.filename)!r} is there already, and is left as it is"
        ) from error
    except OSError as error:
        raise RefusalError(
            f"cannot write to {str(file)!r}: {error.strerror}"
        ) from error
    return file


def next_steps(file: Path) -> str:
    """Returns what to do with a new recipe.

    >>> print(next_steps(Path("my_idea.py")).splitlines()[0])
    my_idea.py is a recipe that runs as it is: noise on the inputs of a net.
    """
    path = shlex.quote(str(file))
    return f"""\
{file} is a recipe that runs as it is: noise on the inputs of a net.
Make it your own; its comments say what to replace, and why.

  regimen run {path}
      trains both arms on ten seeds, and ends in a verdict
  regimen tune {path}
      searches what the arms leave free, with the same budget for each
  regimen status {path}
      counts its rows: finished, failed, stale

Evidence is kept beside it, in {file.with_suffix(".jsonl")}: finished
runs are not run again until the code changes. `python {path}` does the
same as `regimen run`. docs/recipes.md has the whole contract on a page."""


def _check_name(name: str) -> None:
    path = Path(name)
    if path.parent != Path():
        raise RefusalError(
            f"a recipe's name holds no folder. Received: {name!r}; try "
            f"{_suggested(path.name)} --to {shlex.quote(str(path.parent))}"
        )
    if not name.isidentifier() or keyword.iskeyword(name):
        raise RefusalError(
            "a recipe's name must be one that Python can import. "
            f"Received: {name!r}; try {_suggested(name)}"
        )
    if name in discovery.shipped():
        raise RefusalError(
            f"{name!r} is a recipe of the package, and one name for two would "
            f"be taken for the other; try my_{name}"
        )
    if _is_taken(name):
        raise RefusalError(
            f"{name!r} is a module, which {name}.py would hide from every "
            f"script beside it; try my_{name}"
        )


def _suggested(name: str) -> str:
    near = re.sub(r"\W+", "_", name.removesuffix(".py")).strip("_")
    if not near.isidentifier() or keyword.iskeyword(near):
        near = f"my_{near or 'recipe'}"
    return near


def _is_taken(name: str) -> bool:
    if name in sys.stdlib_module_names or name == "__main__":
        return True
    spec = importlib.util.find_spec(name)
    # A mere folder of that name hides nothing, and is hidden by nothing.
    return spec is not None and spec.origin is not None
