"""The asks and tells of one arm, with rows made up by hand."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from keras_regimen.recipes.harness.contract.metrics import value
from keras_regimen.recipes.harness.engine.budget import state_file
from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.tuning.arm_search import ArmSearch, Options
from keras_regimen.recipes.harness.tuning.goal import Goal

RATE = {
    "kind": "Float",
    "name": "rate",
    "default": 0.1,
    "conditions": [],
    "min_value": 0.0,
    "max_value": 1.0,
    "step": None,
    "sampling": "linear",
}


def arm_search(tmp_path=Path(), space=(RATE,), **changes):
    options = {
        "tuner": "random",
        "trials": 4,
        "seeds": 2,
        "seed": 0,
        "goal": Goal(value("score"), curve="val_loss"),
        "epochs": None,
        "median_rule": False,
        "states": tmp_path,
    }
    journal = []
    plan = SimpleNamespace(
        space={"only": list(space)},
        cells=(Cell("tiny", "tiny.py", "only", 0, "cpu", "", {"depth": 2}),),
    )
    search = ArmSearch(
        plan, "only", Options(**{**options, **changes}), journal.append
    )
    return search, journal


def row(cell, score, **more):
    status = "done" if math.isfinite(score) else "failed"
    return {"id": cell.id, "status": status, "values": {"score": score}} | more


def run(search, score):
    cells = []
    while (cell := search.next_cell()) is not None:
        cells.append(cell)
        search.tell(row(cell, score(cell)))
    return cells


def test_a_trial_is_the_mean_of_its_seeds_and_the_lowest_wins(tmp_path):
    search, _ = arm_search()
    cells = run(search, lambda c: c.settings["rate"] + 0.1 * (c.seed - 1000))
    rates = [cell.settings["rate"] for cell in cells[::2]]
    assert [cell.seed for cell in cells] == [1000, 1001] * 4
    assert search.best.values == {"rate": min(rates)}
    assert search.best.score == pytest.approx(min(rates) + 0.05)
    assert all(
        search.trial_of(cell).values == {"rate": rate}
        for cell, rate in zip(cells[::2], rates, strict=True)
    )
    again = search.rerun_cells(3)
    assert [cell.seed for cell in again] == [2000, 2001, 2002]
    assert {c.settings["rate"] for c in again} == {min(rates)}


def test_a_trial_with_a_failed_seed_never_wins():
    search, _ = arm_search(seeds=2)
    lowest = []

    def score(cell):
        lowest.append(cell.settings["rate"])
        failed = cell.settings["rate"] == lowest[0] and cell.seed == 1001
        return math.nan if failed else (cell.settings["rate"] != lowest[0])

    run(search, score)
    assert search.best.values != {"rate": lowest[0]}
    assert {e["status"] for e in search.executions} == {"done", "failed"}


def test_the_journal_brings_another_search_to_the_same_place():
    search, journal = arm_search(tuner="bayesian", trials=8, seeds=1)
    told = []
    for _ in range(5):
        cell = search.next_cell()
        told.append(row(cell, (cell.settings["rate"] - 0.3) ** 2))
        search.tell(told[-1])
    waiting = search.next_cell()
    again, rewritten = arm_search(tuner="bayesian", trials=8, seeds=1)
    for asked, finished in zip(journal, [*told, None], strict=True):
        again.replay(asked)
        if finished:
            again.tell(finished)
            again.unready(finished["id"])
    # What was in flight comes first, and what follows is the same.
    assert again.next_cell() == waiting
    assert again.executions == search.executions
    assert again.next_cell() == search.next_cell()
    assert rewritten == journal[-1:] or len(rewritten) == 1


def test_without_hyperparameters_there_is_one_trial():
    search, journal = arm_search(space=())
    assert search.planned == 1
    assert len(run(search, lambda cell: 0.5)) == 2
    assert search.best.values == {}
    assert len(journal) == 1


def test_hyperband_goes_on_from_the_same_seed_of_the_promoted_trial(tmp_path):
    search, _ = arm_search(
        tmp_path, tuner="hyperband", trials=1, epochs=9, seeds=2
    )

    def score(cell):
        state_file(tmp_path, cell.id).touch()
        return cell.settings["rate"]

    cells = run(search, score)
    by_id = {cell.id: cell for cell in cells}
    promoted = [cell for cell in cells if cell.budget.start is not None]
    assert promoted
    for cell in promoted:
        before = by_id[cell.budget.start]
        assert before.seed == cell.seed
        assert before.settings == cell.settings
        assert before.budget.epochs * 3 == cell.budget.epochs
        # What was gone on from is no longer needed.
        assert not state_file(tmp_path, before.id).exists()
    search.clean()
    kept = {path.name.partition(".")[0] for path in tmp_path.iterdir()}
    longest = [t for t in search.trials.values() if t.epochs == 9]
    longest.sort(key=lambda trial: trial.score)
    assert kept == {c.id for trial in longest[:3] for c in trial.cells}


def test_what_is_ahead_goes_down_to_nothing_as_runs_are_told():
    search, _ = arm_search(trials=3, seeds=2)
    assert search.ahead(rerun=2, known=()) == (3 * 2 + 2, 8)
    seen = []
    while (cell := search.next_cell()) is not None:
        search.tell(row(cell, 0.5))
        seen.append(search.ahead(rerun=2, known=())[0])
    assert seen == [7, 6, 5, 4, 3, 2]
    first, second = search.rerun_cells(2)
    assert search.ahead(2, known={first.id}) == (1, 1)
    assert search.ahead(2, known={first.id, second.id}) == (0, 0)


def test_a_space_that_runs_out_of_points_has_less_ahead_than_planned():
    """KerasTuner asks for no point of a space a second time."""
    few = {**RATE, "kind": "Choice", "values": [0.1, 0.2], "ordered": True}
    for name in ("min_value", "max_value", "step", "sampling"):
        del few[name]
    search, _ = arm_search(space=[few], trials=5, seeds=1)
    assert search.ahead(0, ())[0] == 5
    cells = [search.next_cell(), search.next_cell()]
    assert search.next_cell() is None
    assert search.ahead(rerun=3, known=()) == (2 + 3, 5)
    for cell in cells:
        search.tell(row(cell, 0.5))
    assert search.ahead(0, ()) == (0, 0)


def test_hyperbands_work_is_in_further_epochs_and_known_before(tmp_path):
    """9 epochs: 9 x 1, 3 x 2, 1 x 6; 5 x 3, 2 x 6; 3 x 9."""
    search, _ = arm_search(
        tmp_path, tuner="hyperband", trials=1, epochs=9, seeds=2
    )
    rounds = [(9, 1), (3, 2), (1, 6), (5, 3), (2, 6), (3, 9)]
    work = 2 * sum(trials * epochs for trials, epochs in rounds)
    assert search.ahead(rerun=1, known=()) == (2 * 23 + 1, work + 9)
    cells = run(search, lambda cell: cell.settings["rate"])
    assert sum(cell.work for cell in cells) == work
    assert search.ahead(rerun=1, known=()) == (1, 9)


def test_hyperband_promotes_though_most_of_a_round_failed(tmp_path):
    """KerasTuner by itself promotes nobody then, and ends."""
    search, _ = arm_search(
        tmp_path, tuner="hyperband", trials=1, epochs=9, seeds=1
    )
    count = 0

    def score(cell):
        nonlocal count
        count += 1
        return 0.5 if count % 4 == 0 else math.nan

    cells = run(search, score)
    assert len(cells) == 23
    assert math.isfinite(search.best.score) or search.best is None


def test_medians_come_from_runs_that_were_told(tmp_path):
    search, journal = arm_search(median_rule=True, seeds=1, trials=8)
    for place in range(6):
        cell = search.next_cell()
        curves = {"val_loss": [float(place), float(place)]}
        search.tell(row(cell, 0.5, curves=curves))
    assert cell.budget.medians == (2.0, 2.0)  # Of 0, 1, 2, 3 and 4.
    ended = search.next_cell()
    search.tell(row(ended, 0.0, curves={"val_loss": [9.0]}, ended={"epoch": 1}))
    assert search.next_cell().budget.medians == (2.5, 2.5)
    assert search.executions[-1]["status"] == "ended"
    # However good the figure that it ended with.
    assert search.best.number != search.executions[-1]["trial"]
    assert journal[-1]["medians"] == [2.5, 2.5]


def test_the_journals_first_row_says_what_the_search_is():
    search, journal = arm_search(called={"model": "mine:Net"})
    run(search, lambda cell: 0.5)
    assert journal[0]["about"] == {
        "space": [RATE],
        "tuner": "random",
        "trials": 4,
        "seeds": 2,
        "seed": 0,
        "objective": "score",
        "direction": "min",
        "epochs": None,
        "median_rule": False,
        "planned": 4,
        "called": {"model": "mine:Net"},
    }
    assert not any("about" in row for row in journal[1:])
    # How it was called makes it no other search.
    assert arm_search()[0].id == search.id
