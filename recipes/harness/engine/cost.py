"""What a cell costs: CPU seconds, wall seconds, peak memory."""

import contextlib
import resource
import sys
import time
from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class Cost:
    """Counts from its making to `figures()`.

    Example:

    >>> cost = Cost()
    >>> sorted(cost.figures())
    ['cpu_seconds', 'peak_memory_mb', 'wall_seconds']
    """

    def __init__(self) -> None:
        with contextlib.suppress(OSError):
            # Linux then forgets the peak of the cells before this one.
            _CLEAR.write_text("5")
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def figures(self) -> dict[str, float]:
        return {
            "cpu_seconds": round(time.process_time() - self._cpu, 3),
            "wall_seconds": round(time.perf_counter() - self._wall, 3),
            "peak_memory_mb": round(_peak_memory()),
        }


def _peak_memory() -> float:
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)
