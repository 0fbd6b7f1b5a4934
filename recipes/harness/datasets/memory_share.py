"""How much memory one process may give to its data."""

import os

from ..refusal import RefusalError

MEGABYTE = 1_000_000


def memory_share() -> int:
    """Returns how many bytes a process may fill with data.

    It is the environment variable `REGIMEN_MEMORY_MB`, else a quarter of the
    machine's (or the container's) memory, shared by its cores: a cell holds
    its rows about three times, and each core has a cell.

    Raises:
        RefusalError: If the variable is no positive number.
    """
    text = os.environ.get("REGIMEN_MEMORY_MB")
    if not text:
        # It knows what a container or a batch system allows.
        from dask.system import CPU_COUNT
        from distributed.system import MEMORY_LIMIT

        return int(MEMORY_LIMIT / 4 / CPU_COUNT)
    try:
        megabytes = float(text)
    except ValueError:
        megabytes = -1.0
    if not 0 < megabytes < float("inf"):
        raise RefusalError(
            "REGIMEN_MEMORY_MB must be a positive number of megabytes. "
            f"Received: REGIMEN_MEMORY_MB={text!r}"
        )
    return int(megabytes * MEGABYTE)


def in_megabytes(size: float) -> str:
    """Returns a number of bytes as people read it.

    >>> in_megabytes(2_500_000), in_megabytes(1_400)
    ('2.5 MB', '0.0014 MB')
    """
    return (
        f"{size / MEGABYTE:,.2g} MB" if size < 1e8 else f"{size / 1e6:,.0f} MB"
    )
