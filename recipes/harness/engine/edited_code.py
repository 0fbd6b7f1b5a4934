"""Code that was edited after this process imported it."""

import contextlib
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

from ..refusal import RefusalError

# The code that this process has imported, which it keeps whatever is edited.
_imported: dict[Path, bytes] = {}


def refuse_edited(files: Iterable[Path]) -> None:
    """Refuses files that are not what they were at the first call.

    To be called before they are imported, and each time that they are used.

    Args:
        files: Python files.

    Raises:
        RefusalError: If one was edited.
    """
    for path in files:
        content = hashlib.sha256(path.read_bytes()).digest()
        if _imported.setdefault(path, content) != content:
            raise RefusalError(
                f"{_who()} still runs {path.name} as it was before its last "
                "edit: start it again"
            )


def _who() -> str:
    if "distributed" in sys.modules:
        from distributed import get_worker

        with contextlib.suppress(ValueError):  # This is no worker.
            return f"worker {get_worker().address}"
    return "this process"
