"""Which worker computes on which GPU."""

import os
from collections.abc import Sequence
from pathlib import Path

from .probe import probe

_DRIVER = Path("/proc/driver/nvidia/gpus")


def gpu_is_there() -> bool:
    """Whether this machine has an NVIDIA GPU, used or not."""
    return _DRIVER.is_dir() and any(_DRIVER.iterdir())


def gpus_of(backend: str) -> list[str]:
    """Returns the GPUs that a backend computes on, as CUDA names them.

    Where the machine has one, Keras is asked in another process, since a
    build without CUDA, or a container, may not see it.

    Args:
        backend: String. Keras' backend.
    """
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    if asked == "" or not gpu_is_there():
        return []
    seen = len(probe([], backend).keras.get("devices", ()))
    return gpu_names(seen, asked)


def gpu_names(seen: int, asked: str | None) -> list[str]:
    """Returns the names of so many GPUs.

    Args:
        seen: Integer. How many GPUs a library sees.
        asked: What `CUDA_VISIBLE_DEVICES` was then, if it was set.

    Example:

    >>> gpu_names(2, None), gpu_names(1, "3,1")
    (['0', '1'], ['3'])
    """
    names = [name.strip() for name in asked.split(",")] if asked else None
    return (names or [str(number) for number in range(seen)])[:seen]


def places(
    workers: int | None, gpus: Sequence[str], devices: int, cores: int
) -> list[str | None]:
    """Returns each worker's `CUDA_VISIBLE_DEVICES`; None leaves it as it is.

    Args:
        workers: How many there are; None takes one for each group of devices:
            a cell at a time on a GPU, or on a core.
        gpus: The names of the GPUs.
        devices: Integer of 1 or more. How many of them a cell wants.
        cores: How many cores there are.

    Example:

    >>> places(None, ["0", "1", "2"], devices=1, cores=8)
    ['0', '1', '2']
    >>> places(3, ["0", "1"], devices=2, cores=8)
    ['0,1', '0,1', '0,1']
    >>> places(None, [], devices=2, cores=8)
    [None, None, None, None]
    """
    starts = range(0, len(gpus) - devices + 1, devices)
    groups = [",".join(gpus[start : start + devices]) for start in starts]
    if not groups:
        return [None] * (workers or max(cores // devices, 1))
    count = workers or len(groups)
    return [groups[number % len(groups)] for number in range(count)]
