import re
from functools import partial
from types import SimpleNamespace

import pytest
from rich.console import Console

from keras_regimen.recipes.harness.terminal import progress, tally
from keras_regimen.recipes.harness.terminal.progress import Progress

PLAN = SimpleNamespace(recipe="dice", notes=())


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
    monkeypatch.setattr(tally, "time", time)
    return time


def test_without_a_terminal_a_line_says_now_and_then_what_is_left(
    clock, capsys
):
    with Progress() as reporter:
        clock.now += 1000  # Workers start; that is no time of a cell.
        reporter.planned(PLAN, pending=20)
        # Lines are more than 30 seconds apart: after 40 and after 80.
        for now in (10, 30, 40, 50, 70, 80, 81):
            clock.now = 1000 + now
            reporter.finished(row())
    printed = capsys.readouterr()
    assert printed.out == ""
    # 40 s / 3 * 17 = 227 s; 80 s / 6 * 14 = 187 s.
    assert printed.err.splitlines() == [
        "dice: 20 cells to run",
        "dice: 3 of 20 cells, 4 min left",
        "dice: 6 of 20 cells, 4 min left",
    ]


def test_failed_cells_are_counted_among_the_finished(clock, capsys):
    with Progress() as reporter:
        reporter.planned(PLAN, pending=4)
        for status in ("done", "failed", "failed", "done"):
            clock.now += 31
            reporter.finished(row(status))
    assert capsys.readouterr().err.splitlines() == [
        "dice: 4 cells to run",
        "dice: 1 of 4 cells, 2 min left",
        "dice: 2 of 4 cells, 1 failed, 2 min left",
        "dice: 3 of 4 cells, 2 failed, 31 s left",
        "dice: 4 of 4 cells, 2 failed",
    ]


def test_where_nothing_is_left_to_run_nothing_is_said(clock, capsys):
    with Progress() as reporter:
        reporter.planned(PLAN, pending=0)
    assert capsys.readouterr() == ("", "")


def test_quiet_prints_nothing(clock, capsys):
    with Progress(quiet=True) as reporter:
        reporter.planned(PLAN, pending=2)
        for status in ("done", "failed"):
            clock.now += 100
            reporter.finished(row(status))
    assert capsys.readouterr() == ("", "")


def drawn(monkeypatch, capsys, clock, width, recipe="dice"):
    """Returns what a terminal's last line said, and what was written."""
    terminal = partial(
        Console,
        force_terminal=True,
        force_interactive=True,
        width=width,
        color_system=None,
    )
    monkeypatch.setattr(progress, "Console", terminal)
    with Progress() as reporter:
        reporter.planned(SimpleNamespace(recipe=recipe, notes=()), pending=4)
        for status in ("done", "failed", "done"):
            clock.now += 10
            reporter.finished(row(status))
        reporter._bar.refresh()
    printed = capsys.readouterr()
    assert printed.out == ""
    text = re.sub(r"\x1b\[[?0-9]*[A-Za-z]", "", printed.err)
    return re.split(r"[\r\n]+", text.rstrip())[-1].rstrip(), printed.err


@pytest.mark.parametrize(("width", "bar"), [(120, 24), (80, 24), (60, 16)])
def test_on_a_terminal_a_bar_counts_and_is_gone_at_the_end(
    monkeypatch, capsys, clock, width, bar
):
    line, written = drawn(monkeypatch, capsys, clock, width)
    assert re.fullmatch(r"dice [━╸]+ +3 of 4 cells, 1 failed, 10 s left", line)
    assert line.index("3 of 4") == len("dice ") + bar + 1
    # The last thing written erases the line of the bar.
    assert written.rstrip().endswith("\x1b[2K")


def test_on_a_narrow_terminal_words_outlive_the_bar_and_long_names(
    monkeypatch, capsys, clock
):
    line, _ = drawn(monkeypatch, capsys, clock, 44, recipe="a_long_name" * 3)
    assert re.fullmatch(r"a_lo\S*… 3 of 4 cells, 1 failed, 10 s left", line)
    assert len(line) <= 44


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    monkeypatch, capsys, clock
):
    monkeypatch.setenv("TERM", "dumb")
    terminal = partial(Console, force_terminal=True, width=80)
    monkeypatch.setattr(progress, "Console", terminal)
    with Progress() as reporter:
        reporter.planned(PLAN, pending=2)
        clock.now += 31
        reporter.finished(row())
    assert capsys.readouterr().err == (
        "dice: 2 cells to run\ndice: 1 of 2 cells, 31 s left\n"
    )


def test_what_was_found_in_the_users_data_is_said_before_the_run(clock, capsys):
    note = "customers.csv: 1,204 rows, 5 columns (2 text), target [bought]"
    with Progress() as reporter:
        plan = SimpleNamespace(recipe="dice", notes=(note * 2,))
        reporter.planned(plan, pending=4)
    assert capsys.readouterr().err.splitlines()[0] == note * 2
