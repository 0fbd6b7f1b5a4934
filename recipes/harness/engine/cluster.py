"""Workers that somebody else started: reached, compared, and left alone."""

import asyncio
import contextlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..evidence.code_hash import code_files, code_hash
from ..evidence.discovery import find, is_shipped
from ..refusal import RefusalError
from . import process
from . import survey as survey_module
from .backend import BACKENDS
from .edited_code import refuse_edited
from .survey import survey
from .waiting import waiting_said

_SECONDS_TO_ANSWER = 5.0

# What a scheduler must have as well, since it unpacks what it hands on.
_OURS = ("python", "keras_regimen", "protocol")


@dataclass(frozen=True)
class Terms:
    """What a worker must have for its numbers to be the command's own.

    They go with each task, so that a worker which joins later, or which its
    nanny has started again, is asked before it computes anything.

    Args:
        backend: String. The backend that cells are trained on.
        versions: Versions by name, as of `survey`.
    """

    backend: str
    versions: Mapping[str, str | None]

    @classmethod
    def here(cls, backend: str) -> "Terms":
        """Returns terms that this process meets."""
        names = ("keras", *BACKENDS[backend], "numpy", "scikit-learn")
        return cls(backend, survey(names))

    @property
    def distributions(self) -> list[str]:
        """The names of the distributions among the versions."""
        return [name for name in self.versions if name not in _OURS]

    def refusal(
        self, worker: str, found: Mapping[str, str | None], threads: int
    ) -> str | None:
        """Returns why a worker may not run cells, or None if it may.

        Args:
            worker: String. Its address.
            found: Its versions.
            threads: How many tasks it runs at a time.
        """
        if others := self._others(found, self.versions):
            return (
                f"worker {worker} has {others}: with other versions come "
                "other numbers, so install the same on both"
            )
        if threads != 1:
            return (
                f"worker {worker} runs {threads} tasks at a time, and a cell "
                "needs a process to itself: start workers with --nthreads 1"
            )
        return None

    def refusal_of_scheduler(
        self, found: Mapping[str, str | None]
    ) -> str | None:
        """Returns why a scheduler cannot hand cells on, or None if it can."""
        if others := self._others(found, _OURS):
            return (
                f"the scheduler has {others}: it unpacks what it hands on, so "
                "install the same there (it needs no backend)"
            )
        return None

    def _others(
        self, found: Mapping[str, str | None], names: Iterable[str]
    ) -> str:
        told = [
            f"{name} {found[name] or 'missing'} "
            f"({self.versions[name] or 'none'} here)"
            for name in names
            if found[name] != self.versions[name]
        ]
        return ", ".join(told)

    def meet(self) -> None:
        """Sets up the worker that this is called in.

        Raises:
            RefusalError: If it does not meet the terms.
        """
        from distributed import get_worker

        worker = get_worker()
        refusal = self.refusal(
            worker.address, survey(self.distributions), worker.state.nthreads
        )
        if refusal:
            raise RefusalError(refusal)
        with named_here():
            process.set_up(self.backend)


def script_name(file: Path) -> str:
    """Returns how a script is named to workers that may keep it elsewhere.

    A shipped recipe goes by its name, a user's own by its path.
    """
    return file.stem if is_shipped(file) else str(file)


def script_here(name: str, code: str) -> Path:
    """Returns the script of that name in the worker that this is called in.

    Args:
        name: String, from `script_name`.
        code: The hash of the code that is to run.

    Raises:
        RefusalError: If it cannot be read here, is other code, or was other
            code when this worker imported it.
    """
    with named_here():
        try:
            file = find(name)
            found = code_hash(file)
        except (RefusalError, OSError) as error:
            raise RefusalError(
                f"it cannot read the recipe ({error}): a file of one's own "
                "must lie under the same path on a file system that workers "
                "share"
            ) from error
        if found != code:
            raise RefusalError(
                f"it has other code of {file.stem} (hash {found}, {code} "
                "here): workers need the same files"
            )
    refuse_edited(
        path
        for path in code_files(file).values()
        # It is imported again under its new content's name.
        if path != file or is_shipped(file)
    )
    return file


@contextlib.contextmanager
def connected(address: str, backend: str) -> Iterator[tuple[Any, Terms]]:
    """Connects to a Dask cluster whose workers meet the terms.

    While there is no worker it waits for one, and says so now and then. On
    the way out the connection is closed; the cluster and its workers go on.

    Args:
        address: String, such as `"tcp://host:8786"`.
        backend: String. The backend that cells are trained on.

    Yields:
        The `distributed.Client`, and the `Terms`.

    Raises:
        RefusalError: If nobody answers, or one of the workers does not meet
            the terms.
    """
    import distributed
    from distributed.utils import silence_logging_cmgr

    # A client that fails to connect takes ten more seconds to go away.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _greet(address)).result()
    with (
        # What goes wrong becomes a sentence.
        silence_logging_cmgr("critical", "distributed"),
        silence_logging_cmgr("critical", "distributed.client"),
        distributed.Client(
            address, timeout=_SECONDS_TO_ANSWER, set_as_default=False
        ) as client,
    ):
        terms = Terms.here(backend)
        with waiting_said(address, client.nthreads):
            # A cluster that scales by demand starts a worker for a task only.
            with contextlib.suppress(Exception):
                client.submit(int, pure=False).result()
            try:
                _survey_all(client, terms)
            except OSError as error:
                raise RefusalError(
                    f"the connection to the scheduler at {address!r} is lost"
                ) from error
            yield client, terms


async def _greet(address: str) -> None:
    from distributed import rpc
    from distributed.security import Security

    security = Security().get_connection_args("client")
    try:
        async with rpc(address, connection_args=security) as scheduler:
            answer = await asyncio.wait_for(
                scheduler.identity(), _SECONDS_TO_ANSWER
            )
    except ValueError as error:
        raise RefusalError(
            f"`cluster` must be an address such as tcp://host:8786 ({error}). "
            f"Received: {address!r}"
        ) from error
    except Exception as error:  # Whatever a stranger's bytes unpack to.
        raise RefusalError(
            f"no Dask scheduler answers at {address!r}; is `dask scheduler` "
            "running there, and the port open?"
        ) from error
    if answer["type"] != "Scheduler":
        raise RefusalError(
            f"{address!r} is the address of a Dask {answer['type'].lower()}; "
            "give that of its scheduler"
        )


def _survey_all(client: Any, terms: Terms) -> None:
    threads = client.nthreads()
    # Source, for a pickled function needs the same Python and package there.
    source = inspect.getsource(survey_module)
    expression = (
        f"(names := {{}}, exec({source!r}, names), "
        f"names['survey']({terms.distributions!r}))[-1]"
    )
    there = client.run_on_scheduler(eval, expression)
    if refusal := terms.refusal_of_scheduler(there):
        raise RefusalError(refusal)
    found = client.run(eval, expression, on_error="return")
    for worker, answer in found.items():
        if isinstance(answer, Exception):
            raise RefusalError(f"worker {worker} does not answer: {answer}")
        refusal = terms.refusal(worker, answer, threads.get(worker, 1))
        if refusal:
            raise RefusalError(refusal)


@contextlib.contextmanager
def named_here() -> Iterator[None]:
    """Says which worker a refusal is about: the one that this is called in."""
    from distributed import get_worker

    try:
        yield
    except RefusalError as error:
        worker = get_worker().address
        raise RefusalError(f"worker {worker} cannot serve: {error}") from error
