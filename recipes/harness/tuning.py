"""A search: cells chosen as it goes, by KerasTuner's oracles."""

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .contract.metrics import Metric, at_best_epoch, final
from .datasets.cache import tfds_directory
from .datasets.data_source import look_ahead
from .engine.cell import Cell
from .engine.engine import Engine
from .engine.plan import Plan
from .evidence.evidence import evidence_of
from .quiet_import import import_keras
from .refusal import RefusalError
from .run import Reporter, Silent

TUNERS = ("random", "grid")

# Apart from the seeds of verdicts, which start at 0, and from each other.
FIRST_SEARCH_SEED = 1000
FIRST_RERUN_SEED = 2000


@dataclass(frozen=True)
class Search:
    """The outcome of a search.

    Args:
        recipe: String.
        objective: String. The label of the validation figure; lower is
            better.
        best: For each arm `{hyperparameters, score, rerun}`: the mean over
            the executions of the winning trial, and over fresh seeds.
        executions: One record a run, `{arm, trial, hyperparameters, seed,
            score, status}`.
        edge_warnings: Sentences on best values at an end of their range.
        path: The evidence file of the search.
    """

    recipe: str
    objective: str
    best: Mapping[str, dict[str, Any]]
    executions: Sequence[dict[str, Any]]
    edge_warnings: Sequence[str]
    path: Path

    @property
    def succeeded(self) -> bool:
        """Whether each arm has a trial with a score."""
        return all(math.isfinite(b["score"]) for b in self.best.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe,
            "best": self.best,
            "executions": self.executions,
            "edge_warnings": self.edge_warnings,
        }


def search_recipe(
    file: Path,
    *,
    tuner: str = "random",
    trials: int = 10,
    seeds: int = 1,
    rerun: int = 3,
    seed: int = 0,
    objective: str | None = None,
    scale: str = "cpu",
    data: str | None = None,
    data_dir: Path | None = None,
    arms: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    backend: str | None = None,
    out: Path | None = None,
    reporter: Reporter | None = None,
) -> Search:
    """Searches what each arm leaves free, with the same budget for each.

    What an arm fixes stays; what it has tuned is searched anew. A trial is
    judged by its mean over `seeds` runs, on validation data; the winner runs
    again on fresh seeds, since the best of many is partly the luckiest.

    Args:
        file: The recipe's script.
        tuner: `"random"` or `"grid"`.
        trials: Integer of 1 or more: trials of each arm. A grid may end
            sooner.
        seeds: Integer of 1 or more: runs of each trial.
        rerun: Integer of 0 or more: fresh seeds for each arm's best.
        seed: Integer. The search's own.
        objective: A figure to be lowered, such as `"val_error"`, at the best
            epoch; by default the headline claim's metric on validation data.
        scale: As of a run.
        data: As of a run; by default the recipe's first data condition.
        data_dir: As of a run.
        arms: Names; all by default.
        settings: Hyperparameters that are not searched.
        workers: As of a run.
        cluster: As of a run.
        backend: As of a run.
        out: As of a run.
        reporter: What is told of the progress.

    Raises:
        RefusalError: If an argument is not one of those above.
    """
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
    reporter = reporter or Silent()
    if out is None and scale == "smoke":
        out = Path("regimen-evidence")
    evidence = evidence_of(file, out, suffix=".search")
    known = {row["id"]: row for row in evidence.rows()}
    evidence.check_writable()
    data_dir = data_dir or tfds_directory()
    if cluster is None:
        look_ahead(file, data, Path.cwd(), data_dir)
    with Engine(workers, cluster, backend) as engine:
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
        metric = _objective(plan, objective)
        searches = [
            # With one seed for all, arms of one space try the same points.
            _ArmSearch(plan, arm, tuner, trials, seeds, seed, metric)
            for arm in plan.arms
        ]
        total = sum(s.planned for s in searches) * seeds
        reporter.planned(plan, total + rerun * len(searches))

        by_cell: dict[str, _ArmSearch] = {}

        def tell(row: Mapping[str, Any]) -> None:
            reporter.finished(row)
            if row["id"] in by_cell:
                by_cell[row["id"]].tell(row)

        def unknown(cells: Iterable[Cell]) -> Iterator[Cell]:
            for cell in cells:
                if cell.id in known:
                    tell(known[cell.id])
                else:
                    yield cell

        def execute(cells: Iterable[Cell]) -> None:
            for row in engine.run(unknown(cells)):
                evidence.append(row)
                known[row["id"]] = row
                tell(row)

        def asked() -> Iterator[Cell]:
            for arm_search in searches:
                for cell in arm_search.cells():
                    by_cell[cell.id] = arm_search
                    yield cell

        execute(asked())
        execute([c for s in searches for c in s.rerun_cells(rerun)])
    return Search(
        recipe=plan.recipe,
        objective=metric.label,
        best={
            s.arm: {
                "hyperparameters": s.best[0],
                "score": s.best[1],
                "rerun": _mean_score(
                    metric, [known.get(c.id) for c in s.rerun_cells(rerun)]
                ),
            }
            for s in searches
        },
        executions=[e for s in searches for e in s.executions],
        edge_warnings=[w for s in searches for w in s.edge_warnings()],
        path=evidence.path,
    )


class _ArmSearch:
    """The search of one arm: asks an oracle, tells it what cells scored."""

    def __init__(
        self,
        plan: Plan,
        arm: str,
        tuner: str,
        trials: int,
        seeds: int,
        seed: int,
        metric: Metric,
    ):
        self.arm = arm
        self.metric = metric
        self.seeds = seeds
        self.space = plan.space[arm]
        self.template = next(c for c in plan.cells if c.arm == arm)
        self.oracle = _oracle(self.space, tuner, trials, seed)
        self.planned = trials if self.space else 1
        self.executions: list[dict[str, Any]] = []
        self._trials: dict[str, Any] = {}
        self._waiting: dict[str, tuple[str, int]] = {}
        self._scores: dict[str, list[float]] = {}

    def cells(self) -> Iterator[Cell]:
        """Yields the cells of one trial after the other, while any is left."""
        while True:
            trial = self.oracle.create_trial(f"worker {len(self._trials)}")
            if trial.status != "RUNNING":
                return
            values = _values(trial)
            self._trials[trial.trial_id] = trial
            for seed in range(self.seeds):
                cell = self._cell(values, FIRST_SEARCH_SEED + seed)
                self._waiting[cell.id] = (trial.trial_id, cell.seed)
                yield cell
            if not self.space:
                return

    def tell(self, row: Mapping[str, Any]) -> None:
        """Hands a finished cell's score to the oracle."""
        if row["id"] not in self._waiting:
            return
        trial_id, seed = self._waiting.pop(row["id"])
        score = _mean_score(self.metric, [row])
        trial = self._trials[trial_id]
        values = _values(trial)
        self.executions.append(
            {
                "arm": self.arm,
                "trial": trial_id,
                "hyperparameters": values,
                "seed": seed,
                "score": score,
                "status": row["status"],
            }
        )
        scores = self._scores.setdefault(trial_id, [])
        scores.append(score)
        if len(scores) < self.seeds:
            return
        mean = float(np.mean(scores))
        trial.status = "COMPLETED" if math.isfinite(mean) else "INVALID"
        if math.isfinite(mean):
            self.oracle.update_trial(trial_id, {"score": mean})
        self.oracle.end_trial(trial)

    @property
    def best(self) -> tuple[dict[str, Any], float]:
        """The winning hyperparameters and their mean score."""
        means = {
            trial: float(np.mean(scores))
            for trial, scores in self._scores.items()
            if len(scores) == self.seeds and np.all(np.isfinite(scores))
        }
        if not means:
            return {}, math.nan
        winner = min(means, key=lambda trial: (means[trial], trial))
        return _values(self._trials[winner]), means[winner]

    def rerun_cells(self, count: int) -> list[Cell]:
        """Returns the winner's cells on seeds that no trial has seen."""
        values, score = self.best
        if not math.isfinite(score):
            return []
        return [
            self._cell(values, FIRST_RERUN_SEED + seed) for seed in range(count)
        ]

    def edge_warnings(self) -> list[str]:
        """Returns a sentence for each best value at an end of its range."""
        values, _ = self.best
        warnings = []
        for hp in self.space:
            value = values.get(hp["name"])
            if value is None or hp["kind"] not in ("Float", "Int", "Choice"):
                continue
            if hp["kind"] == "Choice":
                ends = (hp["values"][0], hp["values"][-1])
                ordered = hp.get("ordered")
                at_edge = ordered and len(hp["values"]) > 2 and value in ends
            else:
                low, high = hp["min_value"], hp["max_value"]
                ends = (low, high)
                at_edge = _near_an_end(value, low, high, hp["sampling"])
            if at_edge:
                warnings.append(
                    f"{self.arm}: the best {hp['name']}, {value:.4g}, lies at "
                    f"an end of its range ({ends[0]:.4g} to {ends[1]:.4g}): "
                    "widen it"
                )
        return warnings

    def _cell(self, values: Mapping[str, Any], seed: int) -> Cell:
        settings = {**self.template.settings, **values}
        return replace(self.template, settings=settings, seed=seed)


def _near_an_end(value: float, low: float, high: float, scale: str) -> bool:
    if scale == "log":
        value, low, high = math.log(value), math.log(low), math.log(high)
    return min(value - low, high - value) < 0.02 * (high - low)


# KerasTuner's oracles end at once without a hyperparameter.
_NOTHING = "nothing to search"


def _values(trial: Any) -> dict[str, Any]:
    values = dict(trial.hyperparameters.values)
    values.pop(_NOTHING, None)
    return values


def _oracle(
    space: Sequence[Mapping[str, Any]], tuner: str, trials: int, seed: int
) -> Any:
    import_keras()
    import keras_tuner
    from keras_tuner import oracles

    hp = keras_tuner.HyperParameters()
    for declared in space:
        config = {k: v for k, v in declared.items() if k != "kind"}
        kind = getattr(keras_tuner.engine.hyperparameters, declared["kind"])
        hp._register(kind.from_config(config))
    if not space:
        hp.Fixed(_NOTHING, True)
    make = {
        "random": oracles.RandomSearchOracle,
        "grid": oracles.GridSearchOracle,
    }[tuner]
    oracle = make(
        objective=keras_tuner.Objective("score", "min"),
        max_trials=trials,
        # Failures are rows, and a search of nothing else says so at the end.
        max_consecutive_failed_trials=trials + 1,
        # KerasTuner replaces a seed of 0 by a random one.
        seed=seed + 1,
        hyperparameters=hp,
        allow_new_entries=False,
    )
    oracle.verbose = 0
    oracle._set_project_dir(tempfile.mkdtemp(prefix="regimen-"), "search")
    return oracle


def _objective(plan: Plan, name: str | None) -> Metric:
    if name is not None:
        if "test" in name:
            raise RefusalError(
                "`objective` must not read test data. "
                f"Received: objective={name!r}"
            )
        return at_best_epoch(name, monitor=name)
    for claim in plan.claims:
        if claim.metric.objective is not None:
            return claim.metric.objective
    return final("val_loss")


def _mean_score(
    metric: Metric, rows: Sequence[Mapping[str, Any] | None]
) -> float:
    scores = [
        float(metric.read(row))
        for row in rows
        if row is not None and row["status"] == "done"
    ]
    if not scores or len(scores) < len(rows):
        return math.nan
    return float(np.mean(scores))
