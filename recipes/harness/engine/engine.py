"""Runs cells: on Dask workers of one thread each, or in the process itself."""

import contextlib
import itertools
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..evidence.code_hash import code_hash
from ..quiet_import import import_keras
from ..refusal import RefusalError
from . import backend as backends
from .cell import Cell
from .cluster import Terms, connected, named_here, script_here, script_name
from .computation import Computation
from .gpus import gpus_of, places
from .interrupt import interrupt_kept
from .local_workers import local_workers
from .lost import cluster_gone, row_of_lost, why_lost
from .news import Listener, Score, listening
from .plan import Plan, make_plan
from .process import variables
from .worker_cell import run_in_worker, run_made, run_sent


class Engine:
    """A context in which cells run, and come back as rows when they finish.

    Args:
        workers: Integer. Processes of one thread each; 0 runs cells in this
            process, one at a time, for a debugger. None takes one for each
            GPU (or group of them that a strategy wants), and where there is
            none, for each core.
        cluster: Optional string. The address of a Dask scheduler, such as
            `"tcp://host:8786"`, whose workers are used instead.
        backend: Optional string. Keras' backend; by default the environment
            variable `KERAS_BACKEND`, else TensorFlow.
        computation: Optional `Computation`: strategy, devices, precision,
            XLA and determinism of the cells that it plans and runs.

    Raises:
        RefusalError: If workers are given beside a cluster, or a strategy is
            another backend's. Entering the context raises it if the backend
            is not installed, the devices are not there, the cluster does not
            answer, or one of its workers has other versions.

    Example:

    >>> with Engine(workers=0) as engine:
    ...     engine.call(max, 3, 5)
    5
    """

    def __init__(
        self,
        workers: int | None = None,
        cluster: str | None = None,
        backend: str | None = None,
        computation: Computation | None = None,
    ):
        if workers is not None and cluster is not None:
            raise RefusalError(
                "a cluster brings its own workers: give `workers` or "
                f"`cluster`. Received: workers={workers}, cluster={cluster!r}"
            )
        self.computation = computation or Computation()
        if self.computation != Computation():
            self.computation.on(backends.chosen_backend(backend))
        unsaid = self.computation.strategy and not self.computation.devices
        if cluster is not None and unsaid:
            raise RefusalError(
                "on a cluster `devices` says how many devices each of its "
                "workers has for a strategy. Received: devices=None"
            )
        self.workers = available_cores() if workers is None else workers
        self._asked = workers
        self.cluster = cluster
        self.backend = backend
        # What workers that somebody else started must have.
        self._terms: Terms | None = None

    def __enter__(self) -> "Engine":
        with contextlib.ExitStack() as stack:
            self._raise_if_interrupted = stack.enter_context(interrupt_kept())
            self._enter(stack)
            self._stack = stack.pop_all()
        return self

    def _enter(self, stack: contextlib.ExitStack) -> None:
        if self.cluster is not None:
            backend = backends.chosen_backend(self.backend)
            self._client, self._terms = stack.enter_context(
                connected(self.cluster, backend)
            )
        elif not self.workers:
            backends.use_here(self.backend)
            if "tensorflow" not in sys.modules:
                backend = backends.chosen_backend()
                os.environ.update({**variables(backend), **os.environ})
            import_keras()
            if self.computation.strategy is not None:
                self._place(backends.chosen_backend(self.backend))
            _set_up(self.computation)
        else:
            backend = backends.chosen_backend(self.backend)
            backends.check_installed(backend)
            gpus = self._place(backend)
            self._client = stack.enter_context(local_workers(gpus, backend))
            # All at once, and while this process goes on.
            self._imports = [
                self._client.submit(import_keras, workers=address, pure=False)
                for address in self._client.nthreads()
            ]

    def __exit__(self, *exception: Any) -> None:
        self._stack.close()

    def call(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """Returns what a function returns where Keras is: in a worker."""
        if self._here:
            return function(*args, **kwargs)
        future = self._client.submit(
            _call, *self._packed(function, *args, **kwargs), pure=False
        )
        try:
            return future.result()
        except Exception as error:
            if lost := why_lost(error):
                raise RefusalError(f"no plan could be made: {lost}") from error
            raise

    def plan(self, file: Path, **options: Any) -> Plan:
        """Returns a recipe's plan, made where Keras is.

        Args:
            file: The recipe's script.
            **options: As of `make_plan`.
        """
        code = code_hash(file)
        options = {"computation": self.computation, **options}
        if self._terms is None:
            return self.call(make_plan, file, code, **options)
        plan = self.call(_plan, script_name(file), code, options)
        cells = tuple(replace(cell, file=str(file)) for cell in plan.cells)
        return replace(plan, file=str(file), cells=cells)

    def run(
        self, cells: Iterable[Cell | None], listener: Listener | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yields the row of each cell, in the order in which they finish.

        More cells may be handed in while it runs: it takes from `cells`
        whenever a worker is free, and no sooner. A None means that there is
        no cell before another one has finished. A listener hears of those
        that run.
        """
        if self.cluster is None:  # There the workers look.
            cells = map(_unedited, cells)
        if not self._here:
            score = listener.score if listener else None
            with listening(self._client, listener):
                yield from self._on_workers(cells, score)
            return
        from .training import run_cell

        for cell in filter(None, cells):
            teller = listener.teller(cell.id) if listener else None
            yield run_cell(cell, teller)
            self._raise_if_interrupted()

    def _on_workers(
        self, cells: Iterable[Cell | None], score: Score | None
    ) -> Iterator[dict[str, Any]]:
        from distributed import as_completed

        waiting = iter(cells)
        running: dict[Any, Cell] = {}
        completed = as_completed(loop=self._client.loop)

        def start() -> None:
            # One more than there are workers, so that none waits for this.
            room = self._places() + 1 - len(running)
            for cell in itertools.islice(waiting, max(room, 0)):
                if cell is None:
                    return
                future = self._submit(cell, score)
                running[future.key] = cell
                completed.add(future)

        start()
        for future in completed:
            cell = running.pop(future.key)
            try:
                # Waits if it went with its worker, and is computed again.
                row = future.result()
            except Exception as error:
                row = row_of_lost(cell, error, self.cluster)
            future.release()
            yield row
            self._raise_if_interrupted()
            # Now, since the row may decide on what comes next. No worker
            # waits: it has another cell already.
            start()

    def _place(self, backend: str) -> list[str | None]:
        """Counts the devices; returns the GPUs of each worker."""
        gpus = gpus_of(backend)
        self.computation = self.computation.with_devices(len(gpus))
        devices = self.computation.devices or 1
        found = places(self._asked, gpus, devices, available_cores())
        if self._asked is None:
            self.workers = len(found)
        return found

    def _packed(self, *call: Any, **named: Any) -> tuple[Any, ...]:
        """Returns what `_call` takes.

        The call itself as bytes: to unpack it may import a module of the
        user's, and with it Keras, for which the worker is not set up yet.
        """
        import cloudpickle

        return self._terms, self.computation, cloudpickle.dumps((call, named))

    @property
    def _here(self) -> bool:
        return self.cluster is None and not self.workers

    def _places(self) -> int:
        if self.cluster is None:
            return self.workers
        try:
            return len(self._client.nthreads())
        except OSError as error:
            raise cluster_gone(self.cluster, error) from error

    def _submit(self, cell: Cell, score: Score | None) -> Any:
        if cell.recipe_from is not None:
            run = run_made
        elif self._terms is None:
            run = run_in_worker
        else:
            run = run_sent
            cell = replace(cell, file=script_name(Path(cell.file)))
        key = f"{cell.arm}-{cell.id}"
        return self._client.submit(
            _call, *self._packed(run, cell, score), key=key, pure=False
        )


def available_cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _call(terms: Terms | None, computation: Computation, packed: bytes) -> Any:
    if terms is None:
        _set_up(computation)
    else:
        terms.meet()
        with named_here():
            _set_up(computation)
    # From this command, as all that Dask unpacks.
    (function, *args), named = pickle.loads(packed)  # noqa: S301
    return function(*args, **named)


def _set_up(computation: Computation) -> None:
    os.environ.update(computation.variables(os.environ))
    import_keras()
    if computation != Computation():
        from .computing import set_up

        set_up(computation)


def _plan(script: str, code: str, options: dict[str, Any]) -> Plan:
    return make_plan(script_here(script, code), code, **options)


def _unedited(cell: Cell | None) -> Cell | None:
    """Refuses a cell whose code was edited since it was planned.

    What is in the file is what runs, and its row would carry the old hash.
    """
    if cell is None or not (cell.file and cell.code):
        return cell
    file = Path(cell.file)
    if (found := code_hash(file)) != cell.code:
        raise RefusalError(
            f"the code of {file.stem} was edited in the meantime (hash "
            f"{found}, {cell.code} before): finished cells are kept, and the "
            "same command runs what it is now"
        )
    return cell
