"""A search: cells chosen as it goes, by KerasTuner's oracles."""

import functools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.cache import tfds_directory
from ..datasets.data_source import look_ahead
from ..engine.cell import Cell, digest
from ..engine.computation import Computation
from ..engine.engine import Engine
from ..engine.plan import Plan
from ..evidence.evidence import Evidence, evidence_of
from ..quiet_import import import_keras
from ..refusal import RefusalError
from .arm_search import ArmSearch, Options
from .found import Search
from .goal import goal_of
from .oracle import TUNERS
from .reporter import Reporter, Silent


def search_recipe(
    file: Path,
    *,
    scale: str = "cpu",
    data: str | None = None,
    data_dir: Path | None = None,
    arms: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    backend: str | None = None,
    computation: Computation | None = None,
    out: Path | None = None,
    **options: Any,
) -> Search:
    """Searches what each arm leaves free, with the same budget for each.

    What an arm fixes stays; what it has tuned is searched anew. A trial is
    judged by its mean over `seeds` runs, on validation data; the winner runs
    again on fresh seeds, since the best of many is partly the luckiest.

    Args:
        file: The recipe's script.
        scale: As of a run.
        data: As of a run; by default the recipe's first data condition.
        data_dir: As of a run.
        arms: Names; all by default.
        settings: Hyperparameters that are not searched.
        workers: As of a run.
        cluster: As of a run.
        backend: As of a run.
        computation: As of a run.
        out: As of a run.
        **options: As of `run_search`.

    Raises:
        RefusalError: If an argument is not one of those above.
    """
    check_options(**options)
    if out is None and scale == "smoke":
        out = Path("regimen-evidence")
    evidence = evidence_of(file, out, suffix=".search")
    evidence.check_writable()
    data_dir = data_dir or tfds_directory()
    if cluster is None:
        look_ahead(file, data, Path.cwd(), data_dir)
    with Engine(workers, cluster, backend, computation) as engine:
        plan = engine.plan(
            file,
            scale=scale,
            arms=tuple(arms),
            data=data,
            data_dir=data_dir,
            folder=Path.cwd(),
            settings=dict(settings or {}),
            seeds=1,
            searching=True,
        )
        return run_search(engine, plan, evidence, **options)


def check_options(
    tuner: str = "random",
    trials: int = 10,
    seeds: int = 1,
    rerun: int = 3,
    **others: Any,
) -> None:
    """Refuses what no search can be made with, before anything starts."""
    if tuner not in TUNERS:
        raise RefusalError(
            f"`tuner` must be one of {', '.join(TUNERS)}. Received: {tuner!r}"
        )
    for name, count, least in (
        ("trials", trials, 1),
        ("seeds", seeds, 1),
        ("rerun", rerun, 0),
    ):
        if count < least:
            raise RefusalError(
                f"`{name}` must be at least {least}. Received: {count}"
            )
    if others.get("median_rule") and tuner == "hyperband":
        raise RefusalError(
            "Hyperband ends hopeless trials in its own way: give "
            "`median_rule` to another tuner"
        )


def run_search(
    engine: Engine,
    plan: Plan,
    evidence: Evidence,
    *,
    tuner: str = "random",
    trials: int = 10,
    seeds: int = 1,
    rerun: int = 3,
    seed: int = 0,
    objective: str | None = None,
    median_rule: bool = False,
    reporter: Reporter | None = None,
) -> Search:
    """Runs a search to its end, from wherever its journal says it stands.

    Args:
        engine: An open engine.
        plan: What is searched.
        evidence: Where rows are kept, those of asks among them.
        tuner: `"random"`, `"grid"`, `"bayesian"` or `"hyperband"`.
        trials: Integer of 1 or more: trials of each arm. A grid may end
            sooner; Hyperband goes through all of its brackets, as often as
            it takes for so many.
        seeds: Integer of 1 or more: runs of each trial.
        rerun: Integer of 0 or more: fresh seeds for each arm's best.
        seed: Integer. The search's own.
        objective: A logged figure, such as `"val_error"`, at its best epoch,
            with `min:` or `max:` before it where its name does not tell; by
            default the headline claim's metric on validation data.
        median_rule: Whether to end runs whose best so far is worse than half
            of the finished ones were.
        reporter: What is told of the progress.
    """
    reporter = reporter or Silent()
    goal = goal_of(plan, objective)
    if tuner == "hyperband" and plan.epochs is None:
        raise RefusalError(
            f"Hyperband sets the epochs of a trial, and {plan.recipe} trains "
            "in a way of its own"
        )
    if median_rule and goal.curve is None:
        raise RefusalError(
            f"`median_rule` watches a validation curve, and {goal.label} has "
            "none: give `objective`"
        )
    options = Options(
        tuner=tuner,
        trials=trials,
        seeds=seeds,
        seed=seed,
        goal=goal,
        epochs=plan.epochs if tuner == "hyperband" else None,
        median_rule=median_rule,
        states=evidence.path.with_suffix(".states"),
    )
    searches = [
        ArmSearch(plan, arm, options, evidence.append) for arm in plan.arms
    ]
    known = _replayed(evidence, searches)
    total = sum(search.planned for search in searches) * seeds
    done = sum(len(search.executions) for search in searches)
    reporter.planned(plan, total - done + rerun * len(searches))
    for search in searches:
        for execution in search.executions:
            reporter.scored(execution, goal)

    def tell(row: Mapping[str, Any]) -> None:
        for search in searches:
            before = len(search.executions)
            search.tell(row)
            for execution in search.executions[before:]:
                reporter.scored(execution, goal)
        reporter.finished(row)

    def asked() -> Iterator[Cell | None]:
        handed = set()
        while True:
            due = (search.next_cell() for search in searches)
            cell = next(filter(None, due), None)
            if cell is None:
                if all(search.over for search in searches):
                    return
                yield None  # Oracles wait for what is running.
            elif cell.id in known:
                tell(known[cell.id])
            elif cell.id not in handed:
                # The same point again shares the run that is under way.
                handed.add(cell.id)
                reporter.started(cell)
                yield cell

    def execute(cells: Iterable[Cell | None]) -> None:
        for row in engine.run(cells):
            evidence.append(row)
            known[row["id"]] = row
            tell(row)

    def again() -> Iterator[Cell]:
        for search in searches:
            for cell in search.rerun_cells(rerun):
                if cell.id in known:
                    reporter.finished(known[cell.id])
                else:
                    reporter.started(cell)
                    yield cell

    execute(asked())
    for search in searches:
        search.clean()
    execute(again())

    def outcome(search: ArmSearch) -> dict[str, Any]:
        best = search.best
        scores = [
            goal.score(known[cell.id]) for cell in search.rerun_cells(rerun)
        ]
        found: dict[str, Any] = {
            "hyperparameters": dict(best.values) if best else {},
            "score": best.score if best else float("nan"),
            "rerun": float(np.mean(scores)) if scores else float("nan"),
        }
        if best and best.epochs:
            found["epochs"] = best.epochs
        return found

    return Search(
        recipe=plan.recipe,
        objective=goal.label,
        best={search.arm: outcome(search) for search in searches},
        executions=[e for search in searches for e in search.executions],
        edge_warnings=[w for s in searches for w in s.edge_warnings()],
        path=evidence.path,
        direction=goal.direction,
        of_recipe=bool(plan.file),
    )


def _replayed(
    evidence: Evidence, searches: Sequence[ArmSearch]
) -> dict[str, Mapping[str, Any]]:
    """Asks and tells again what the journal holds, in its order.

    Returns the rows of all finished cells, by id.
    """
    known: dict[str, Mapping[str, Any]] = {}
    of = {search.id: search for search in searches}
    for row in evidence.rows():
        if row["kind"] == "cell":
            known[row["id"]] = row
            for search in searches:
                search.tell(row)
                search.unready(row["id"])
        elif row["kind"] == "trial" and row["search"] in of:
            search = of[row["search"]]
            search.replay(row)
            for cell in filter(known.__contains__, row["cells"]):
                search.unready(cell)
                search.tell(known[cell])
    return known


def search(
    build: Any,
    data: Any,
    *,
    name: str | None = None,
    epochs: Any = None,
    batch_size: Any = None,
    callbacks: Any = (),
    settings: Mapping[str, Any] | None = None,
    scale: str = "cpu",
    workers: int | None = None,
    cluster: str | None = None,
    backend: str | None = None,
    computation: Computation | None = None,
    out: Path | str | None = None,
    data_dir: Path | None = None,
    **options: Any,
) -> Search:
    """Searches the hyperparameters of a model of one's own.

    Use it in a script or a notebook, with a function or a
    `keras_tuner.HyperModel` as KerasTuner takes it; a HyperModel's own `fit`
    is called as KerasTuner calls it. Every run is seeded and kept as a row of
    `<name>.search.jsonl`, and the same call goes on where it was stopped.

    Args:
        build: A function `(hp)` or `(hp, data)` that returns a compiled
            model, or a `keras_tuner.HyperModel`.
        data: `(x, y)`, whose last fifth then validates, `((x, y), (x_val,
            y_val))`, a function `seed -> Splits`, or what `--data` takes.
        name: String. What the rows go by; by default the name of `build`.
        epochs: Integer, or a function of `hp`. Defaults to 10; a HyperModel
            with its own `fit` decides by itself.
        batch_size: Integer, or a function of `hp`. Defaults to 32.
        callbacks: List, or a function of `hp` that returns one.
        settings: Hyperparameters that are not searched, by name.
        scale: `"cpu"`, or `"smoke"` for three epochs.
        workers: Integer. Processes of one core each, 0 for this one.
            Defaults to one a core.
        cluster: The address of a Dask scheduler whose workers are used. Data
            is then named, or a function.
        backend: `"tensorflow"`, `"jax"` or `"torch"`.
        computation: Optional `Computation`: strategy over several devices,
            precision, XLA, determinism.
        out: Folder of the rows. Defaults to `regimen-evidence`.
        data_dir: Where TensorFlow Datasets are.
        **options: As of the command `regimen tune`: `tuner`, `trials`,
            `seeds`, `rerun`, `seed`, `objective`, `median_rule`, and a
            `reporter`.

    Returns:
        A `Search`, with `best`, `executions` and `to_csv()`.

    Raises:
        RefusalError: If an argument is none of these, or the model cannot be
            built and fitted with its defaults.

    Example:

    ```python
    found = search(build, (x, y), tuner="bayesian", trials=30, epochs=20)
    model = build(found.best_hyperparameters)
    ```
    """
    import_keras()
    from .model_recipe import ModelRecipe, source_hash

    make = functools.partial(ModelRecipe, build, epochs, batch_size, callbacks)
    make()  # Refuses what is no model.
    name = name or _name_of(build)
    code = _code(source_hash(build), epochs, batch_size, callbacks)
    return search_model(
        make,
        name,
        code,
        data,
        settings=settings,
        scale=scale,
        workers=workers,
        cluster=cluster,
        backend=backend,
        computation=computation,
        out=Path(out) if out is not None else None,
        data_dir=data_dir,
        **options,
    )


def search_named(
    model: str,
    data: str,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    **options: Any,
) -> Search:
    """Searches `module:HyperModel`, as `search` does.

    Args:
        model: String, such as `"my_project.models:Classifier"` or
            `"models.py:Classifier"`.
        data: String. What `--data` takes.
        epochs: Optional integer.
        batch_size: Optional integer.
        **options: As of `search`.
    """
    import_keras()
    from .model_recipe import module_hash, named_recipe

    folder = str(Path.cwd())
    make = functools.partial(named_recipe, model, folder, epochs, batch_size)
    code = _code(module_hash(model, folder), epochs, batch_size, ())
    name = model.rpartition(":")[2].lower()
    return search_model(make, name, code, data, **options)


def search_model(
    make: Callable[[], Any],
    name: str,
    code: str,
    data: Any,
    *,
    settings: Mapping[str, Any] | None = None,
    scale: str = "cpu",
    workers: int | None = None,
    cluster: str | None = None,
    backend: str | None = None,
    computation: Computation | None = None,
    out: Path | None = None,
    data_dir: Path | None = None,
    **options: Any,
) -> Search:
    """Runs the search of a model that `make` wraps as a recipe."""
    from .given_data import as_splits, on_disk

    check_options(**options)
    folder = out or Path("regimen-evidence")
    evidence = Evidence(folder / f"{name}.search.jsonl")
    evidence.check_writable()
    with ExitStack() as stack:
        word, source = "", None
        if isinstance(data, str):
            word = data
        elif callable(data):
            word, source = getattr(data, "__name__", "data"), data
        else:
            splits = as_splits(data)
            if cluster is not None:
                raise RefusalError(
                    "arrays are not sent to a cluster: give a function of a "
                    "seed, or a name of data that its workers can read"
                )
            word = f"arrays@{splits.fingerprint[:8]}"
            scratch = stack.enter_context(tempfile.TemporaryDirectory())
            source = on_disk(splits, Path(scratch))
        engine = stack.enter_context(
            Engine(workers, cluster, backend, computation)
        )
        from .model_plan import make_model_plan

        plan = engine.call(
            make_model_plan,
            make,
            name,
            code,
            scale=scale,
            data=word,
            source=source,
            folder=Path.cwd(),
            data_dir=data_dir or tfds_directory(),
            settings=dict(settings or {}),
            computation=engine.computation,
        )
        return run_search(engine, plan, evidence, **options)


def _name_of(build: Any) -> str:
    kind = build if hasattr(build, "__name__") else type(build)
    return kind.__name__.strip("<>").lower()


def _code(source: str, *arguments: Any) -> str:
    from .model_recipe import source_hash

    def told(argument: Any) -> Any:
        if isinstance(argument, list | tuple):
            return [told(part) for part in argument]
        plain = argument is None or isinstance(argument, int | float | str)
        return argument if plain else source_hash(argument)

    return digest([source, told(arguments)])
