import math
import re
from functools import partial
from types import SimpleNamespace

import pytest
from rich.console import Console

from keras_regimen.recipes.harness.engine.budget import Budget
from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.engine.news import News
from keras_regimen.recipes.harness.terminal import search_progress, tally
from keras_regimen.recipes.harness.terminal.search_progress import (
    SearchProgress,
    settings_text,
)

PLAN = SimpleNamespace(
    recipe="bowl", notes=("The data was digits.",), arms=("only",)
)
LOW = SimpleNamespace(direction="min", label="val_loss")
HIGH = SimpleNamespace(direction="max", label="best val_f1")


def cell(rate, seed=1000, budget=None):
    settings = {"rate": rate}
    return Cell("bowl", "", "only", seed, "cpu", "", settings, budget=budget)


def execution(trial, settings, score=math.nan, **more):
    if isinstance(settings, float):
        settings = {"rate": settings}
    record = {"arm": "only", "trial": trial, "hyperparameters": settings}
    return {**record, "seed": 1000, "score": score, **more}


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
    monkeypatch.setattr(tally, "time", time)
    return time


@pytest.fixture
def progress(monkeypatch, clock):
    """Returns a search's, on a screen that is 60 columns wide."""
    screen = partial(Console, width=60, height=24)
    monkeypatch.setattr(search_progress, "Console", screen)
    return SearchProgress(quiet=True)


def shown(progress, width=60, height=24):
    progress._console = Console(width=width, height=height)
    with progress._console.capture() as capture:
        progress._console.print(progress._view())
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_table_has_the_best_and_what_runs(progress, clock):
    progress.planned(PLAN, pending=8)
    cells = [cell(rate) for rate in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)]
    for each in cells:
        progress.started(each)
    for place, score in ((0, 0.5), (1, 0.25), (2, math.nan)):
        status = "done" if score == score else "failed"
        progress.finished(row(cells[place], status))
        rate = cells[place].settings["rate"]
        progress.scored(execution(str(place), rate, score), LOW)
    clock.now = 5.0
    for place in (3, 4):
        running = execution(str(place), cells[place].settings["rate"])
        progress.heard(running, News(cells[place].id))
    running = {**running, "score": 0.125}
    for clock.now, epoch in ((14.0, 1), (18.0, 3), (20.0, 5)):
        progress.heard(running, News(cells[place].id, epoch, 20, 0.125))
    assert shown(progress) == [
        # 20 s for 3.25 of eight: 20 / 3.25 * 4.75 = 29.2. The slowest needs
        # 15 epochs of 1.5 s, the first not counted: 22.5.
        "bowl  3 of 8 runs, 1 failed, 30 s left",
        "trial  best so far, lowest val_loss         score",
        "1      rate=0.2                              0.25",
        "0      rate=0.1                               0.5",
        "trial  running                       epoch  score   for",
        "3      rate=0.4                          -      -  15 s",
        "4      rate=0.5                       5/20  0.125  15 s",
        # The sixth waits for a worker.
    ]


def test_the_last_run_takes_the_time_of_its_own_epochs(progress, clock):
    progress.planned(PLAN, pending=9)
    cells = [cell(0.1 * place) for place in range(9)]
    for each in cells:
        progress.started(each)
    for each in cells[:-1]:
        progress.finished(row(each))
    record = execution("8", 0.8)
    for clock.now, epoch in ((0.0, 0), (9.0, 1), (13.0, 3)):
        progress.heard(record, News(cells[-1].id, epoch, 13, 0.5))
    # 13 / 8.2 * 0.8 = 1.2 s is the pace of all workers; it alone needs 20.
    assert shown(progress)[0] == "bowl  8 of 9 runs, 20 s left"


def test_a_run_that_begins_again_elsewhere_is_shown_as_it_is(progress, clock):
    progress.planned(PLAN, pending=2)
    progress.started(started := cell(0.1))
    record = execution("0", 0.1, 0.5)
    for now, news in (
        (0, News(started.id)),
        (30, News(started.id, 7, 9, 0.5)),
        (40, News(started.id)),  # Its worker was killed.
        (43, News(started.id, 1, 9, 0.5)),
    ):
        clock.now = now
        progress.heard(record, news)
    assert shown(progress)[-1].split()[2:] == ["1/9", "0.5", "3", "s"]


def test_news_that_come_after_the_row_are_not_shown(progress, clock):
    progress.planned(PLAN, pending=2)
    progress.started(started := cell(0.1))
    progress.finished(row(started))
    progress.heard(execution("0", 0.1), News(started.id, 3, 4))
    assert [line.split() for line in shown(progress)] == [
        ["bowl", "1", "of", "2", "runs,", "1", "s", "left"]
    ]


def test_seeds_and_arms_are_named_where_there_are_several(progress, clock):
    arms = SimpleNamespace(recipe="bowl", notes=(), arms=("flat", "deep"))
    progress.planned(arms, pending=2)
    for seed in (1000, 1001):
        progress.started(started := cell(0.1, seed))
        record = {**execution("7", 0.1), "arm": "deep", "seed": seed}
        progress.heard(record, News(started.id))
        progress.scored({**record, "score": 0.5}, LOW)
    lines = shown(progress, width=80)
    labels = [line[:16].rstrip() for line in lines]
    assert labels[2:4] == ["deep 7", "deep 7"]
    assert labels[5:] == ["deep 7 seed 1000", "deep 7 seed 1001"]


def test_a_search_upwards_has_the_highest_first(progress):
    progress.planned(PLAN, pending=2)
    for trial, score in (("0", 0.1), ("1", 0.9)):
        progress.scored(execution(trial, 0.5, score), HIGH)
    lines = shown(progress)
    assert "best so far, highest best val_f1" in lines[1]
    assert [line[0] for line in lines[2:4]] == ["1", "0"]


def test_what_hyperband_promotes_weighs_by_its_further_epochs(progress, clock):
    progress.planned(PLAN, pending=3)
    progress.expected(3, work=9.0)
    for epochs, before in ((1, 0), (3, 1), (9, 3)):
        budget = Budget(epochs=epochs, start_epochs=before)
        progress.started(started := cell(0.1, budget=budget))
        if epochs < 9:
            progress.finished(row(started))
    record = execution("0", 0.1, 0.5, epochs=9)
    progress.heard(record, News(started.id))
    progress.scored(record, LOW)
    for clock.now, epoch in ((2.0, 4), (6.0, 6)):
        progress.heard(record, News(started.id, epoch, 9, 0.5))
    # 6 s for 3 + 3 of 9 epochs, but its last three take 2 s each.
    lines = shown(progress)
    assert lines[0] == "bowl  2 of 3 runs, 6 s left"
    # The epochs that it went on from are no work of this run.
    assert next(iter(progress._running.values())).share == 0.5
    assert lines[1].split()[-2:] == ["epochs", "score"]
    assert lines[2].split() == ["0", "rate=0.1", "9", "0.5"]


def test_long_settings_are_broken_and_never_cut(progress, clock):
    settings = {f"units_of_layer_{place}": 16 * place for place in range(5)}
    progress.planned(PLAN, pending=20)
    for trial in range(12):
        progress.started(started := cell(trial / 10))
        record = execution(str(trial), settings, score=trial / 10)
        progress.scored(record, LOW)
        progress.heard(record, News(started.id, 1, 20, 1.0))
    words = settings_text(settings).split()
    for height in (40, 24, 16):
        lines = shown(progress, height=height)
        assert len(lines) < height
        assert max(map(len, lines)) <= 60
        told = " ".join(lines).split()
        assert told.count(words[0]) == told.count(words[-1]) >= 2
        # How many run is said, however few are shown.
        assert any("running, " in line and "of 12" in line for line in lines)


def test_words_in_brackets_are_no_markup(progress):
    progress.planned(PLAN, pending=2)
    progress.scored(execution("0", {"kind": "[bold]"}, 0.5), LOW)
    assert "kind=[bold]" in shown(progress)[2]


def test_runs_of_an_earlier_call_are_not_counted(progress, clock):
    progress.planned(PLAN, pending=2)
    progress.finished(row(cell(0.1)))  # Never started: it was known.
    progress.started(started := cell(0.2))
    progress.finished(row(started, ended={"epoch": 2}))
    assert shown(progress)[0] == "bowl  1 of 2 runs, 1 ended early, 1 s left"


def test_in_a_pipe_a_line_now_and_then(clock, capsys):
    with SearchProgress() as progress:
        progress.planned(PLAN, pending=9)
        started = [cell(0.1 * place) for place in range(3)]
        for each in started:
            progress.started(each)
            progress.heard(execution("0", 0.1), News(each.id, 1, 20, 0.5))
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
