"""Worker processes of this machine, kept up while they are needed."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ..refusal import RefusalError
from .process import variables, variables_set

# A cell that ended so many workers is given up. Another try costs an import.
_DEATHS_PER_CELL = 4

# How often workers are started at most, if some do not come up.
_STARTS = 3

# Seconds between looks at whether all workers are there.
_MENDING = 5


@contextlib.contextmanager
def local_workers(gpus: Sequence[str | None], backend: str) -> Iterator[Any]:
    """Yields a Dask client of new worker processes of one thread each.

    Args:
        gpus: What each worker has: the names of GPUs, or None for all.
        backend: String. Keras' backend in the workers.

    Raises:
        RefusalError: If they do not start.
    """
    import dask
    import distributed

    config = {
        "distributed.nanny.pre-spawn-environ": variables(backend),
        # A worker holds one cell: the cells behind it are not suspected of
        # having ended it.
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.scheduler.allowed-failures": _DEATHS_PER_CELL - 1,
        "distributed.admin.low-level-log-length": 0,
        # Ctrl-C reaches the whole process group; the parent ends the workers.
        "distributed.worker.preload": [_PRELOAD.format(gpus=list(gpus))],
    }
    with (
        variables_set(backend),
        dask.config.set(config),
        _main_not_imported(),
        _local_cluster(len(gpus)) as cluster,
        _kept_up(cluster, len(gpus)),
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def _local_cluster(workers: int) -> Any:
    import distributed

    starts = _STARTS
    while True:
        starts -= 1
        try:
            return distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                # Without one it takes Dask's default port, on all interfaces.
                dashboard_address="127.0.0.1:0",
                silence_logs="CRITICAL",
            )
        except RuntimeError as error:  # One was killed as it started.
            if not starts:
                raise RefusalError(
                    f"worker processes do not start ({error}); is there "
                    "memory for them? Take fewer --workers"
                ) from error


@contextlib.contextmanager
def _kept_up(cluster: Any, workers: int) -> Iterator[None]:
    """Starts a worker again that died before it had started.

    Dask gives up on such a one, and a run would wait for ever.
    """
    from tornado.ioloop import PeriodicCallback

    repeat = PeriodicCallback(lambda: cluster.scale(workers), _MENDING * 1000)
    cluster.loop.add_callback(repeat.start)
    try:
        yield
    finally:
        cluster.loop.add_callback(repeat.stop)


# Run by each worker as it starts, and by the one that takes its place.
_PRELOAD = """
import logging, os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
# A worker that is replaced may lose a connection on its way out.
logging.getLogger("tornado.application").setLevel(logging.CRITICAL)
def dask_setup(worker):
    gpus = {gpus}[worker.name]
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus
"""


@contextlib.contextmanager
def _main_not_imported() -> Iterator[None]:
    """Keeps new processes from importing this one's script.

    Python imports the main script in each process that it spawns: seconds
    for a recipe, and a fork bomb for a script without a `__main__` guard.
    """
    main = vars(sys.modules["__main__"])
    names = ("__file__", "__spec__")
    hidden: dict[str, Any] = {n: main.pop(n) for n in names if n in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        del main["__spec__"]
        main.update(hidden)
