"""A folder of pages: one a recipe or search, and an index."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..refusal import RefusalError
from .dossier import read_dossier
from .index_page import index_page
from .recipe_page import recipe_page
from .search_dossier import SearchDossier
from .search_page import search_page


def write_site(
    files: Iterable[Path],
    to: Path,
    out: Path | None = None,
    searches: Sequence[SearchDossier] = (),
) -> list[Path]:
    """Writes the pages of recipes, and returns their paths, the index first.

    Args:
        files: The recipes' scripts.
        to: The folder, made where there is none; pages in it are replaced.
        out: Optional folder of evidence, read alone.
        searches: Those of models, which have pages of their own.

    Raises:
        RefusalError: If two recipes have one name, or the folder cannot be
            written to.
    """
    dossiers = [read_dossier(file, out) for file in files]
    names = [d.name for d in dossiers] + [s.page for s in searches]
    for name in names:
        if names.count(name) > 1 or name == "index":
            raise RefusalError(
                f"two pages would be named {name + '.html'!r}: report these "
                "one at a time"
            )
    pages = {"index": index_page(dossiers, searches)}
    pages |= {d.name: recipe_page(d) for d in dossiers}
    pages |= {s.page: search_page(s) for s in searches}
    written = []
    try:
        to.mkdir(parents=True, exist_ok=True)
        for name, html in pages.items():
            path = to / f"{name}.html"
            path.write_text(html, encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise RefusalError(
            f"cannot write to {str(to)!r}: {error.strerror}"
        ) from error
    return written
