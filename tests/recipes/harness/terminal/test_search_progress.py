import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.terminal import search_progress
from keras_regimen.recipes.harness.terminal.search_progress import (
    SearchProgress,
    settings_text,
)

PLAN = SimpleNamespace(recipe="bowl", notes=("The data was digits.",))
LOW = SimpleNamespace(direction="min")


def cell(rate, seed=1000):
    return Cell("bowl", "", "only", seed, "cpu", "", {"rate": rate})


def execution(trial, rate, score):
    values = {"rate": rate}
    return {
        "arm": "only",
        "trial": trial,
        "hyperparameters": values,
        "score": score,
    }


def row(of, status="done", **more):
    return {"id": of.id, "recipe": "bowl", "status": status, **more}


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    # Rich takes these for a terminal.
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clock(monkeypatch):
    time = SimpleNamespace(now=0.0)
    time.monotonic = lambda: time.now
    monkeypatch.setattr(search_progress, "time", time)
    return time


def shown(progress, width=80):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(progress._view())
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_table_has_the_best_and_what_runs(clock):
    progress = SearchProgress(quiet=True)
    progress.planned(PLAN, pending=8)
    cells = [cell(rate) for rate in (0.1, 0.2, 0.3, 0.4)]
    for each in cells:
        progress.started(each)
    clock.now = 20.0
    for place, score in ((0, 0.5), (1, 0.25), (2, float("nan"))):
        status = "done" if score == score else "failed"
        progress.finished(row(cells[place], status))
        settings = execution(str(place), cells[place].settings["rate"], score)
        progress.scored(settings, LOW)
    assert shown(progress) == [
        # 20 s for three of eight: 20 / 3 * 5 = 33.3.
        "bowl  3 of 8 runs, 1 failed, 34 s left",
        "best so far            score",
        "1            rate=0.2   0.25",
        "0            rate=0.1    0.5",
        "running               for",
        "seed 1000  rate=0.4  20 s",
    ]


def test_a_search_upwards_has_the_highest_first(clock):
    progress = SearchProgress(quiet=True)
    progress.planned(PLAN, pending=2)
    for trial, score in (("0", 0.1), ("1", 0.9)):
        progress.scored(
            execution(trial, 0.5, score), SimpleNamespace(direction="max")
        )
    assert [line[0] for line in shown(progress)[2:4]] == ["1", "0"]


def test_runs_of_an_earlier_call_are_not_counted(clock):
    progress = SearchProgress(quiet=True)
    progress.planned(PLAN, pending=3)
    progress.finished(row(cell(0.1)))  # Never started: it was known.
    started = cell(0.2)
    progress.started(started)
    progress.finished(row(started, ended={"epoch": 2}))
    assert shown(progress)[0] == "bowl  1 of 2 runs, 1 ended early, 1 s left"


def test_in_a_pipe_a_line_now_and_then(clock, capsys):
    with SearchProgress() as progress:
        progress.planned(PLAN, pending=9)
        started = [cell(0.1 * place) for place in range(3)]
        for each in started:
            progress.started(each)
        clock.now = 10.0
        progress.finished(row(started[0]))
        progress.scored(execution("0", 0.1, 0.125), LOW)
        clock.now = 40.0
        progress.finished(row(started[1]))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "The data was digits.",
        "bowl: 9 runs at most",
        # 40 s for two of nine: 140 s.
        "bowl: 2 of 9 runs, 3 min left, best 0.125",
    ]


def test_quiet_is_quiet(capsys):
    with SearchProgress(quiet=True) as progress:
        progress.planned(PLAN, pending=1)
    assert capsys.readouterr().err == ""


def test_settings_stand_in_one_line():
    text = settings_text({"rate": 1 / 3, "units": 8, "kind": "sgd"})
    assert re.fullmatch(r"rate=0\.3333, units=8, kind=sgd", text)
