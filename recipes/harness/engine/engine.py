"""Runs cells: on Dask workers of one thread each, or in the process itself."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..quiet_import import import_keras
from .cell import Cell

# A process is replaced after so many models that could not be reused, since
# TensorFlow keeps some memory of each, whatever is cleared.
_MODELS_PER_PROCESS = 100

# A cell that ended so many workers is given up. Another try costs an import.
_DEATHS_PER_CELL = 2


class Engine:
    """A context in which cells run, and come back as rows when they finish.

    Args:
        workers: Integer. Processes of one thread each; 0 runs cells in this
            process, one at a time, for a debugger. None takes one for each
            core.

    Example:

    >>> with Engine(workers=0) as engine:
    ...     engine.call(max, 3, 5)
    5
    """

    def __init__(self, workers: int | None = None):
        self.workers = available_cores() if workers is None else workers

    def __enter__(self) -> "Engine":
        self._stack = contextlib.ExitStack()
        if not self.workers:
            if "tensorflow" not in sys.modules:
                os.environ.update({**_environment(), **os.environ})
            import_keras()
        else:
            self._stack.enter_context(_main_not_imported())
            self._client = self._stack.enter_context(_dask(self.workers))
            # All at once, and while this process goes on.
            self._imports = [
                self._client.submit(import_keras, workers=address, pure=False)
                for address in self._client.nthreads()
            ]
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.close()

    def call(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """Returns what a function returns where Keras is: in a worker."""
        if not self.workers:
            return function(*args, **kwargs)
        future = self._client.submit(
            _call, function, *args, pure=False, **kwargs
        )
        return future.result()

    def run(self, cells: Iterable[Cell]) -> Iterator[dict[str, Any]]:
        """Yields the row of each cell, in the order in which they finish.

        More cells may be handed in while it runs: it takes from `cells`
        whenever a worker is free, and no sooner.
        """
        if not self.workers:
            from .training import run_cell

            yield from map(run_cell, cells)
            return
        from distributed import as_completed

        waiting = iter(cells)
        running = {}
        completed = as_completed(loop=self._client.loop)

        def start_next() -> None:
            cell = next(waiting, None)
            if cell is not None:
                future = self._client.submit(
                    _run_cell, cell, key=f"{cell.arm}-{cell.id}", pure=False
                )
                running[future.key] = cell
                completed.add(future)

        # One more than there are workers, so that none waits for this loop.
        for _ in range(self.workers + 1):
            start_next()
        for future in completed:
            cell = running.pop(future.key)
            if future.status == "finished":
                row = future.result()
            else:
                row = _failed(cell, future.exception())
            future.release()
            start_next()
            yield row


def available_cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _environment() -> dict[str, str]:
    """Returns the variables of a process that runs cells."""
    return {
        # Cells are the parallelism. With one thread each, sums are added in
        # the same order whatever the number of workers.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        # Dask's default gives memory back after each step: page faults.
        "MALLOC_TRIM_THRESHOLD_": str(1 << 28),
        "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "tensorflow"),
    }


@contextlib.contextmanager
def _dask(workers: int) -> Iterator[Any]:
    import dask
    import distributed

    config = {
        "distributed.nanny.pre-spawn-environ": _environment(),
        # A worker holds one cell: the cells behind it are not suspected of
        # having ended it.
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.scheduler.allowed-failures": _DEATHS_PER_CELL - 1,
        "distributed.admin.low-level-log-length": 0,
        # Ctrl-C reaches the whole process group; the parent ends the workers.
        "distributed.worker.preload": [
            "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
        ],
    }
    with (
        dask.config.set(config),
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            # Without one it takes Dask's default port, on every interface.
            dashboard_address="127.0.0.1:0",
            silence_logs="CRITICAL",
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


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


def _call(function: Callable, *args: Any, **kwargs: Any) -> Any:
    import_keras()
    return function(*args, **kwargs)


def _run_cell(cell: Cell) -> dict[str, Any]:
    from distributed import get_worker

    import_keras()
    from . import training

    row = training.run_cell(cell)
    if training.fresh_models >= _MODELS_PER_PROCESS:
        worker = get_worker()
        worker.loop.add_callback(worker.close_gracefully, restart=True)
    return row


def _failed(cell: Cell, error: BaseException) -> dict[str, Any]:
    from distributed import KilledWorker

    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, KilledWorker):
        reason = (
            f"it ended {_DEATHS_PER_CELL} worker processes: out of memory, "
            "or a crash in native code"
        )
    return {**cell.row(), "status": "failed", "error": reason}
