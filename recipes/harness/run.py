"""A run: the cells that are not finished yet, then the word on each claim."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from .contract.claim import Claim
from .datasets.cache import tfds_directory
from .datasets.data_source import look_ahead
from .engine.computation import Computation
from .engine.engine import Engine
from .engine.plan import Plan
from .evidence.evidence import Evidence, evidence_of
from .refusal import RefusalError
from .verdict.comparison import Comparison, compare
from .verdict.result import Result


class Reporter(Protocol):
    """What is told while a run goes on; a terminal shows it."""

    def planned(self, plan: Plan, pending: int) -> None: ...

    def finished(self, row: Mapping[str, Any]) -> None: ...


class Silent:
    """Tells nothing."""

    def planned(self, plan: Plan, pending: int) -> None:
        pass

    def finished(self, row: Mapping[str, Any]) -> None:
        pass


def run_recipe(
    file: Path,
    *,
    seeds: int | None = None,
    scale: str = "cpu",
    arms: Sequence[str] = (),
    data: str | None = None,
    data_dir: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    backend: str | None = None,
    computation: Computation | None = None,
    retry_failed: bool = False,
    out: Path | None = None,
    reporter: Reporter | None = None,
    engine: Engine | None = None,
) -> Result:
    """Runs what is not finished of a recipe, and judges its claims.

    Args:
        file: The recipe's script.
        seeds: Integer of 1 or more, the recipe's own by default.
        scale: `"smoke"`, `"cpu"`, `"gpu"` or `"full"`.
        arms: Names; all by default.
        data: The name of one of the recipe's data conditions, or what
            stands in for them: a bundled data set, `file.csv:target`, a
            folder of images, an `.npz` file, a name of TensorFlow Datasets.
        data_dir: Where TensorFlow Datasets are; by default what
            `TFDS_DATA_DIR` says, else `~/tensorflow_datasets`.
        settings: Hyperparameters that replace those of each arm.
        workers: Integer. Processes; 0 runs in this one. None: one a GPU,
            or a core where there is none.
        cluster: The address of a Dask scheduler whose workers are used
            instead.
        backend: `"tensorflow"`, `"jax"` or `"torch"`; by default what
            `KERAS_BACKEND` says, else TensorFlow.
        computation: Optional `Computation`: strategy over several devices,
            precision, XLA, determinism.
        retry_failed: Whether failed cells run again.
        out: Folder for evidence, read and written alone. By default the
            checkout's `evidence`, the folder of a user's own recipe, or
            `regimen-evidence` in the current folder; the last also for the
            rows of `"smoke"`, which are no evidence.
        reporter: What is told of the progress.
        engine: An open engine to run on.

    Returns:
        A `Result`.

    Raises:
        RefusalError: If a name or a value is unknown or not allowed.
    """
    if seeds is not None and not (isinstance(seeds, int) and seeds >= 1):
        raise RefusalError(
            f"`seeds` must be a whole number of at least 1. Received: {seeds}"
        )
    if workers is not None and not (isinstance(workers, int) and workers >= 0):
        raise RefusalError(
            f"`workers` must be a whole number, 0 for this process. "
            f"Received: {workers}"
        )
    reporter = reporter or Silent()
    if out is None and scale == "smoke":
        out = Path("regimen-evidence")
    evidence = evidence_of(file, out)
    known = evidence.rows()  # A broken file is refused before any work.
    evidence.check_writable()
    data_dir = data_dir or tfds_directory()
    if cluster is None:
        look_ahead(file, data, Path.cwd(), data_dir)
    options = (workers, cluster, backend, computation)
    with _engine(engine, *options) as engine:
        plan = engine.plan(
            file,
            scale=scale,
            seeds=seeds,
            arms=tuple(arms),
            data=data,
            data_dir=data_dir,
            folder=Path.cwd(),
            settings=dict(settings or {}),
        )
        status = {row.get("id"): row.get("status") for row in known}
        over = {"done"} if retry_failed else {"done", "failed"}
        pending = [c for c in plan.cells if status.get(c.id) not in over]
        reporter.planned(plan, len(pending))
        for row in engine.run(pending):
            evidence.append(row)
            known.append(row)
            reporter.finished(row)
    comparisons = _judged(plan, known, evidence)
    # In the order of the plan: the order in which cells finish is chance.
    latest = {row.get("id"): row for row in known}
    rows = [latest[c.id] for c in plan.cells if c.id in latest]
    return Result(plan, rows, comparisons, len(pending), evidence.path)


@contextmanager
def _engine(given: Engine | None, *options: Any) -> Iterator[Engine]:
    if given is not None:
        yield given
        return
    with Engine(*options) as engine:
        yield engine


def _judged(
    plan: Plan, rows: Sequence[Mapping[str, Any]], evidence: Evidence
) -> list[Comparison]:
    """Judges the claims; a word that is asked for at a new n is a look."""
    earlier = [
        row["n"]
        for row in rows
        if row["kind"] == "verdict" and row["attempt"] == plan.attempt
    ]
    looks = list(dict.fromkeys(earlier))
    new = plan.seeds not in looks
    look = len(looks) if new else looks.index(plan.seeds)
    comparisons = compare(plan, rows, look)
    if new and any(comparison.verdict for comparison in comparisons):
        evidence.append(_verdict_row(plan, comparisons, look, rows))
    return comparisons


def _verdict_row(
    plan: Plan,
    comparisons: Sequence[Comparison],
    look: int,
    rows: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    ids = {cell.id for cell in plan.cells}
    spent = sum(
        row["cost"]["cpu_seconds"]
        for row in rows
        if row.get("id") in ids and "cost" in row
    )
    return {
        "kind": "verdict",
        "recipe": plan.recipe,
        "scale": plan.scale,
        "data": list(plan.conditions),
        "attempt": plan.attempt,
        "code": plan.code,
        "look": look,
        "n": plan.seeds,
        "parts": max(1, sum(isinstance(c, Claim) for c in plan.claims))
        * 2**look,
        "claims": [comparison.to_json() for comparison in comparisons],
        "arms": plan.arms,
        "as_declared": plan.as_declared,
        **_unless_plain(plan),
        "cpu_seconds": round(spent, 1),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _unless_plain(plan: Plan) -> dict[str, Any]:
    computation = plan.computation.to_json()
    return {"computation": computation} if computation else {}
