"""What is said of a cell that did not come back."""

from concurrent.futures import CancelledError
from typing import Any

from ..refusal import RefusalError
from .cell import Cell


def row_of_lost(
    cell: Cell, error: BaseException, cluster: str | None
) -> dict[str, Any]:
    """Returns the row of a cell that ended its workers.

    A cell turns its own exceptions into rows, so others are not its fault.
    """
    from distributed import KilledWorker

    reason = why_lost(error) or f"{type(error).__name__}: {error}"
    if isinstance(error, RefusalError):
        raise error
    if cluster is not None and not isinstance(error, KilledWorker):
        raise cluster_gone(cluster, reason)
    return {**cell.row(), "status": "failed", "error": reason}


def cluster_gone(cluster: str, reason: object) -> RefusalError:
    """Returns the error of a cluster that no longer answers."""
    return RefusalError(
        f"the cluster at {cluster!r} could not run a cell ({reason}); "
        "finished cells are kept, and the same command goes on from here"
    )


def why_lost(error: BaseException) -> str | None:
    """Returns what a task was lost to, or None if it raised by itself."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return (
            f"it ended {error.allowed_failures + 1} worker processes: out of "
            "memory, or a crash in native code"
        )
    if isinstance(error, CancelledError):
        return "the connection to the scheduler is lost"
    return None
