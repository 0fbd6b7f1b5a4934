import re
from functools import partial
from types import SimpleNamespace

import pytest
from rich.console import Console

from keras_regimen.recipes.harness.terminal import progress
from keras_regimen.recipes.harness.terminal.progress import Progress

PLAN = SimpleNamespace(recipe="dice")


def row(status="done"):
    return {"recipe": "dice", "status": status}


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    # Rich takes these for a terminal.
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clock(monkeypatch):
    time = SimpleNamespace(now=0.0)
    time.monotonic = lambda: time.now
    monkeypatch.setattr(progress, "time", time)
    return time


def test_without_a_terminal_a_line_says_now_and_then_what_is_done(
    clock, capsys
):
    with Progress() as reporter:
        reporter.planned(PLAN, pending=20)
        # Lines are more than 30 seconds apart: after 40 and after 80.
        for now in (10, 30, 40, 50, 70, 80, 81):
            clock.now = now
            reporter.finished(row())
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "dice: 3 of 20 cells\ndice: 6 of 20 cells\n"


def test_failed_cells_are_counted_among_the_finished(clock, capsys):
    with Progress() as reporter:
        reporter.planned(PLAN, pending=4)
        for status in ("done", "failed", "failed", "done"):
            clock.now += 31
            reporter.finished(row(status))
    assert capsys.readouterr().err.splitlines() == [
        "dice: 1 of 4 cells",
        "dice: 2 of 4 cells, 1 failed",
        "dice: 3 of 4 cells, 2 failed",
        "dice: 4 of 4 cells, 2 failed",
    ]


def test_quiet_prints_nothing(clock, capsys):
    with Progress(quiet=True) as reporter:
        reporter.planned(PLAN, pending=2)
        for status in ("done", "failed"):
            clock.now += 100
            reporter.finished(row(status))
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_bar_counts_and_is_gone_at_the_end(monkeypatch, capsys):
    terminal = partial(
        Console, force_terminal=True, width=80, color_system=None
    )
    monkeypatch.setattr(progress, "Console", terminal)
    with Progress() as reporter:
        reporter.planned(PLAN, pending=4)
        for status in ("done", "failed", "done"):
            reporter.finished(row(status))
        reporter._bar.refresh()
    printed = capsys.readouterr()
    assert printed.out == ""
    text = re.sub(r"\x1b\[[?0-9]*[A-Za-z]", "", printed.err)
    assert re.search(r"\rdice ━+ +3/4 1 failed .*left", text)
    # The last thing written erases the line of the bar.
    assert printed.err.rstrip().endswith("\x1b[2K")
