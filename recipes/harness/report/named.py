"""What a report is asked for: recipes, and searches of models."""

from collections.abc import Sequence
from pathlib import Path

from ..evidence.discovery import find, shipped
from ..refusal import RefusalError
from .search_dossier import (
    SearchDossier,
    model_searches,
    read_search,
    search_file,
)

# Where a search of a model keeps its rows unless told otherwise.
_FOLDER = Path("regimen-evidence")


def named(
    names: Sequence[str], out: Path | None = None
) -> tuple[list[Path], list[SearchDossier]]:
    """Returns the scripts of recipes, and searches of models.

    Args:
        names: Names and files of recipes; of searches the name of their rows,
            or what `regimen tune` was told, such as `models.py:Classifier`.
            Empty for all recipes of the package, and all searches in the
            folder.
        out: Optional folder of evidence.

    Raises:
        RefusalError: If a name is none of these.
    """
    folder = out or _FOLDER
    if not names:
        found = model_searches(folder)
        return list(shipped().values()), [read_search(path) for path in found]
    recipes, searches = [], []
    for name in names:
        _, colon, attribute = name.rpartition(":")
        path = search_file(attribute.lower() if colon else name, folder)
        if colon and not path.is_file():
            raise RefusalError(
                f"no rows of a search of {name!r}: there is no {str(path)!r}"
            )
        if colon:
            searches.append(read_search(path, target=name))
        elif name not in shipped() and path.is_file():
            searches.append(read_search(path))
        else:
            recipes.append(_recipe(name, folder))
    return recipes, searches


def _recipe(name: str, folder: Path) -> Path:
    try:
        return find(name)
    except RefusalError as refusal:
        known = [path.name.partition(".")[0] for path in model_searches(folder)]
        if not known:
            raise
        raise RefusalError(
            f"{refusal}; searches of models in {str(folder)!r}: "
            f"{', '.join(known)}"
        ) from None
