"""A search: cells chosen as it goes, by KerasTuner's oracles."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.cache import tfds_directory
from ..datasets.data_source import look_ahead
from ..engine.cell import Cell
from ..engine.computation import Computation
from ..engine.engine import Engine
from ..engine.news import Listener, News
from ..engine.plan import Plan
from ..evidence.evidence import Evidence, evidence_of
from ..refusal import RefusalError
from .arm_search import ArmSearch, Options
from .found import Search
from .goal import goal_of
from .oracle import TUNERS
from .reporter import Reporter, Silent
from .trial import Trial


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
    called: Mapping[str, Any] | None = None,
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
        called: What the journal says besides of how the search was called.
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
        called=called or {},
    )
    searches = [
        ArmSearch(plan, arm, options, evidence.append) for arm in plan.arms
    ]
    known = _replayed(evidence, searches)
    running: dict[str, dict[str, Any]] = {}

    def ahead() -> tuple[int, float]:
        each = [search.ahead(rerun, known) for search in searches]
        return sum(runs for runs, _ in each), sum(work for _, work in each)

    def start(cell: Cell, trial: Trial) -> Cell:
        running[cell.id] = trial.to_json(cell.arm, cell, "running")
        reporter.started(cell)
        return cell

    def heard(news: News) -> None:
        # Another command's cells may be on the same cluster.
        if execution := running.get(news.cell):
            reporter.heard({**execution, "score": news.score}, news)

    reporter.planned(plan, ahead()[0])
    reporter.expected(*ahead())
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
        reporter.expected(*ahead())

    def asked() -> Iterator[Cell | None]:
        handed = set()
        of_arm = {search.arm: search for search in searches}
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
                yield start(cell, of_arm[cell.arm].trial_of(cell))

    def execute(cells: Iterable[Cell | None]) -> None:
        for row in engine.run(cells, Listener(goal.so_far, heard)):
            evidence.append(row)
            running.pop(row["id"])
            known[row["id"]] = row
            tell(row)

    def again() -> Iterator[Cell]:
        for search in searches:
            for cell in search.rerun_cells(rerun):
                if cell.id in known:
                    reporter.finished(known[cell.id])
                elif search.best is not None:
                    yield start(cell, search.best)

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
        journals=[search.id for search in searches],
        failures=_failures(searches, known),
    )


def _failures(
    searches: Sequence[ArmSearch], known: Mapping[str, Mapping[str, Any]]
) -> dict[str, int]:
    """Returns how many trials' runs failed, by the first line of their error.

    The most frequent error comes first.
    """
    cells = {
        cell.id
        for search in searches
        for trial in search.trials.values()
        for cell in trial.cells
    }
    rows = [row for name, row in known.items() if name in cells]
    errors = [row["error"] for row in rows if row["status"] == "failed"]
    return dict(Counter(e.partition("\n")[0] for e in errors).most_common())


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
