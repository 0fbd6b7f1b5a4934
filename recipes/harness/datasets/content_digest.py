"""What files hold, as hexadecimal digits that change when they do."""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path


def content_digest(root: Path, files: Iterable[Path] = ()) -> str:
    """Returns the SHA-256 of a file, or of the files below a folder.

    Names count from the folder on, so what is moved as a whole keeps its
    digest. In one process a file is read again only when its size or the time
    of its last change is another.

    Args:
        root: A file, or the folder that `files` are in.
        files: Files below `root`, in the order in which they count; `root`
            itself by default.

    Example:

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.csv")
    >>> _ = path.write_text("a,b")
    >>> content_digest(path)[:16]
    '1eb7c54d52831bbf'
    """
    stats = []
    for file in tuple(files) or (root,):
        stat = file.stat()
        place = file.relative_to(root).as_posix()
        stats.append((place, stat.st_size, stat.st_mtime_ns))
    return _digest(root, tuple(stats))


@functools.lru_cache(maxsize=16)
def _digest(root: Path, stats: tuple[tuple[str, int, int], ...]) -> str:
    if stats[0][0] == ".":
        return _of_file(root)
    whole = hashlib.sha256()
    for place, *_ in stats:
        whole.update(f"{_of_file(root / place)} {place}\n".encode())
    return whole.hexdigest()


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
