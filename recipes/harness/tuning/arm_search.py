"""The search of one arm: asks an oracle, and tells it what cells scored."""

import math
from collections import deque
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..engine.budget import Budget, state_file
from ..engine.cell import Cell, digest
from ..engine.median_rule import medians
from ..engine.plan import Plan
from ..refusal import RefusalError
from .goal import Goal
from .oracle import (
    FACTOR,
    ask,
    make_oracle,
    planned_trials,
    planned_work,
    searched_values,
)
from .space import edge_warnings
from .trial import Trial

# Apart from the seeds of verdicts, which start at 0, and from each other.
FIRST_SEARCH_SEED = 1000
FIRST_RERUN_SEED = 2000

# States of finished trials that stay: the best few.
_KEPT = 3


@dataclass(frozen=True)
class Options:
    """What is the same for each arm of a search.

    Args:
        tuner: String. The oracle's name.
        trials: Integer. Trials of each arm.
        seeds: Integer. Runs of each trial.
        seed: Integer. The search's own.
        goal: What is searched for.
        epochs: Optional integer. Hyperband's longest training.
        median_rule: Whether hopeless runs are ended.
        states: Folder for the states that Hyperband goes on from.
        called: What the journal says besides of how the search was called.
    """

    tuner: str
    trials: int
    seeds: int
    seed: int
    goal: Goal
    epochs: int | None
    median_rule: bool
    states: Path
    called: Mapping[str, Any] = field(default_factory=dict)


class ArmSearch:
    """The asks and tells of one arm, in an order that can be replayed.

    Args:
        plan: The plan of what is searched.
        arm: String.
        options: Of the search.
        write: Takes the journal's row of each ask.
    """

    def __init__(
        self,
        plan: Plan,
        arm: str,
        options: Options,
        write: Callable[[dict[str, Any]], None],
    ):
        self.arm = arm
        self.options = options
        self.goal = options.goal
        self.space = plan.space[arm]
        self.trials: dict[str, Trial] = {}
        self.executions: list[dict[str, Any]] = []
        self.over = False
        self._sign = 1 if self.goal.direction == "min" else -1
        self._write = write
        self._template = next(c for c in plan.cells if c.arm == arm)
        self._oracle = make_oracle(
            options.tuner,
            self.space,
            options.trials,
            # With one seed for all, arms of one space try the same points.
            options.seed,
            self.goal.direction,
            options.epochs,
        )
        self.planned = planned_trials(self._oracle) if self.space else 1
        self._work = planned_work(self._oracle) if self.space else 1
        self._asked: dict[str, Any] = {}  # The oracle's own trials.
        self._of_cell: dict[str, list[Trial]] = {}
        self._ready: deque[Cell] = deque()
        self._curves: list[list[float]] = []
        # In the order that the id is made in.
        self._about = {
            "space": self.space,
            "tuner": options.tuner,
            "trials": options.trials,
            "seeds": options.seeds,
            "seed": options.seed,
            "objective": self.goal.label,
            "direction": self.goal.direction,
            "epochs": options.epochs,
            "median_rule": options.median_rule,
        }
        self.id = digest([self._template.row(), *self._about.values()])

    def next_cell(self) -> Cell | None:
        """Returns the next cell to run; None if none is due before a tell."""
        if not self._ready and not self.over:
            trial = self._ask()
            if trial is not None:
                self._write(self._journal_row(trial))
        return self._ready.popleft() if self._ready else None

    def tell(self, row: Mapping[str, Any]) -> None:
        """Hands a finished cell's score on to the oracle."""
        for trial in self._of_cell.get(row["id"], ()):
            if row["id"] not in trial.scores:
                self._tell(trial, row)

    def replay(self, asked: Mapping[str, Any]) -> None:
        """Asks again what the journal says was asked.

        Raises:
            RefusalError: If the oracle asks for something else.
        """
        trial = self._ask(asked["medians"])
        if trial is None or dict(trial.values) != asked["settings"]:
            raise RefusalError(
                f"the search of {self.arm!r} cannot go on from its journal: "
                f"trial {asked['trial']} comes out otherwise, as another "
                "version of KerasTuner may ask. Begin anew with --out"
            )

    def unready(self, cell: str) -> None:
        """Takes a cell, whose row is known, from those to be run."""
        self._ready = deque(c for c in self._ready if c.id != cell)

    @property
    def best(self) -> Trial | None:
        """The trial of the best mean, among those that trained longest."""
        whole = [
            trial
            for trial in self.trials.values()
            if math.isfinite(trial.score) and not trial.ended
        ]
        longest = max((trial.epochs for trial in whole), default=0)
        whole = [trial for trial in whole if trial.epochs == longest]
        return min(
            whole, key=lambda t: (self._sign * t.score, t.number), default=None
        )

    def trial_of(self, cell: Cell) -> Trial:
        """Returns the first trial that a cell is a run of."""
        return self._of_cell[cell.id][0]

    def ahead(self, rerun: int, known: Container[str]) -> tuple[int, float]:
        """Returns how many runs are to come, and how much work they are.

        Args:
            rerun: Integer. Fresh seeds for the best.
            known: The ids of cells whose rows are known.
        """
        unfinished = {
            cell.id: cell.work
            for trial in self.trials.values()
            for cell in trial.cells
            if cell.id not in trial.scores
        }
        if self.over and not unfinished:
            again = [c for c in self.rerun_cells(rerun) if c.id not in known]
            return len(again), sum(cell.work for cell in again)
        runs = len(unfinished) + rerun
        work = sum(unfinished.values()) + rerun * (self.options.epochs or 1)
        if self.over:  # Sooner than planned, where it ran out of points.
            return runs, work
        asked = [trial.cells[0].work for trial in self.trials.values()]
        return (
            runs + (self.planned - len(asked)) * self.options.seeds,
            work + (self._work - sum(asked)) * self.options.seeds,
        )

    def rerun_cells(self, count: int) -> list[Cell]:
        """Returns the winner's cells on seeds that no trial has seen."""
        if self.best is None:
            return []
        budget = Budget(epochs=self.best.epochs) if self.best.epochs else None
        return [
            self._cell(self.best.values, FIRST_RERUN_SEED + seed, budget)
            for seed in range(count)
        ]

    def edge_warnings(self) -> list[str]:
        """Returns a sentence for each best value at an end of its range."""
        best = self.best.values if self.best else {}
        return edge_warnings(self.space, best, self.arm)

    def _ask(self, medians: Sequence[float] | None = None) -> Trial | None:
        asked = ask(self._oracle, f"trial {len(self.trials)}")
        if asked.status != "RUNNING":
            self.over = asked.status == "STOPPED"
            return None
        values = searched_values(asked)
        own = asked.hyperparameters.values
        budgets = self._budgets(own, medians)
        trial = Trial(
            asked.trial_id,
            values,
            tuple(
                self._cell(values, FIRST_SEARCH_SEED + seed, budget)
                for seed, budget in enumerate(budgets)
            ),
        )
        self._asked[trial.number] = asked
        self.trials[trial.number] = trial
        for cell in trial.cells:
            self._of_cell.setdefault(cell.id, []).append(trial)
            self._ready.append(cell)
        self.over = not self.space
        return trial

    def _journal_row(self, trial: Trial) -> dict[str, Any]:
        budget = trial.cells[0].budget
        row: dict[str, Any] = {
            "kind": "trial",
            "recipe": self._template.recipe,
            "search": self.id,
            "arm": self.arm,
            "trial": trial.number,
            "settings": trial.values,
            "cells": [cell.id for cell in trial.cells],
            "medians": list(budget.medians) if budget else [],
            "code": self._template.code,
        }
        if len(self.trials) == 1:
            row["about"] = {
                **self._about,
                "planned": self.planned,
                "called": dict(self.options.called),
            }
        return row

    def _budgets(
        self, own: Mapping[str, Any], known: Sequence[float] | None
    ) -> list[Budget | None]:
        """Returns how long each seed of a trial may train.

        Args:
            own: The oracle's values, its own among them.
            known: The medians of the journal, where it has them.
        """
        seeds = range(self.options.seeds)
        if self.options.tuner == "hyperband":
            before = self.trials.get(own.get("tuner/trial_id", ""))
            return [
                Budget(
                    epochs=own["tuner/epochs"],
                    folder=str(self.options.states),
                    start=before.cells[seed].id if before else None,
                    start_epochs=own["tuner/initial_epoch"],
                )
                for seed in seeds
            ]
        if self.options.median_rule and self.goal.curve is not None:
            if known is None:
                known = medians(self._curves)
            budget = Budget(
                watched=self.goal.curve,
                better=self.goal.direction,
                medians=tuple(known),
            )
            return [budget for _ in seeds]
        return [None for _ in seeds]

    def _tell(self, trial: Trial, row: Mapping[str, Any]) -> None:
        score = self.goal.score(row)
        trial.scores[row["id"]] = score
        trial.ended = trial.ended or "ended" in row
        cell = next(c for c in trial.cells if c.id == row["id"])
        status = "ended" if "ended" in row else row["status"]
        self.executions.append(trial.to_json(self.arm, cell, status))
        curve = row.get("curves", {}).get(self.goal.curve)
        if self.options.median_rule and curve and "ended" not in row:
            self._curves.append(curve)
        if trial.finished:
            self._end(trial)

    def _end(self, trial: Trial) -> None:
        asked = self._asked.pop(trial.number)
        score = trial.score
        if not math.isfinite(score) and self.options.tuner == "hyperband":
            # Hyperband promotes nobody from a round in which some failed.
            score = self._sign * math.inf
        asked.status = "INVALID" if math.isnan(score) else "COMPLETED"
        if asked.status == "COMPLETED":
            self._oracle.update_trial(trial.number, {"score": score})
        self._oracle.end_trial(asked)
        self._prune_states()

    def _prune_states(self) -> None:
        """Removes the states that no promotion can begin from.

        A state is needed while its trial may be promoted: while it is among
        the best third of the trials of as many epochs, and is not yet.
        """
        if self.options.tuner != "hyperband":
            return
        started = {
            cell.budget.start
            for trial in self.trials.values()
            if trial.finished
            for cell in trial.cells
            if cell.budget
        }
        rounds: dict[int, list[Trial]] = {}
        for trial in self.trials.values():
            if math.isfinite(trial.score):
                rounds.setdefault(trial.epochs, []).append(trial)
        for trials in rounds.values():
            trials.sort(key=lambda trial: self._sign * trial.score)
            kept = max(_KEPT, math.ceil(len(trials) / FACTOR) + 1)
            for place, trial in enumerate(trials):
                for cell in trial.cells:
                    if place >= kept or cell.id in started:
                        self._remove_state(cell)

    def clean(self) -> None:
        """Removes all states but those of the best few, once all is done."""
        kept = sorted(
            (t for t in self.trials.values() if math.isfinite(t.score)),
            key=lambda t: (-t.epochs, self._sign * t.score),
        )[:_KEPT]
        names = {cell.id for trial in kept for cell in trial.cells}
        for trial in self.trials.values():
            for cell in trial.cells:
                if cell.id not in names:
                    self._remove_state(cell)

    def _remove_state(self, cell: Cell) -> None:
        state_file(self.options.states, cell.id).unlink(missing_ok=True)

    def _cell(
        self, values: Mapping[str, Any], seed: int, budget: Budget | None
    ) -> Cell:
        settings = {**self._template.settings, **values}
        return replace(
            self._template,
            settings=settings,
            seed=seed,
            budget=budget,
            lenient=True,
        )
