from types import SimpleNamespace

import pytest

from keras_regimen.recipes.harness.terminal import tally as tally_module
from keras_regimen.recipes.harness.terminal.tally import Tally, duration

DONE = {"status": "done"}


@pytest.fixture
def clock(monkeypatch):
    time = SimpleNamespace(now=0.0)
    time.monotonic = lambda: time.now
    monkeypatch.setattr(tally_module, "time", time)
    return time


def counted(*rows, expected):
    tally = Tally("runs")
    tally.expect(expected)
    for row in rows:
        tally.count(row)
    return tally


def test_failed_and_ended_ones_are_counted_among_the_finished(clock):
    ended = {**DONE, "ended": {"epoch": 2}}
    tally = counted(DONE, {"status": "failed"}, ended, expected=3)
    assert str(tally) == "3 of 3 runs, 1 failed, 1 ended early"


def test_what_is_left_goes_by_the_pace_so_far(clock):
    tally = Tally("cells")
    clock.now = 1000.0  # Workers start; that is no time of a cell.
    tally.begin()
    tally.expect(20)
    assert str(tally) == "0 of 20 cells"
    clock.now += 40
    for _ in range(3):
        tally.count(DONE)
    # 40 s / 3 * 17 = 227 s.
    assert str(tally) == "3 of 20 cells, 4 min left"


def test_what_is_nearly_done_counts_too(clock):
    tally = counted(DONE, expected=9)
    clock.now = 10.0
    # Of four workers one is the first: 10 / 1 * 8 = 80 s is far too much.
    assert tally.text() == "1 of 9 runs, 2 min left"
    # 10 / (1 + 3 * 0.9) * (8 - 2.7) = 14.3 s.
    assert tally.text(under_way=2.7) == "1 of 9 runs, 15 s left"


def test_the_last_one_is_not_shared_by_workers(clock):
    tally = counted(DONE, DONE, DONE, expected=4)
    clock.now = 30.0
    # 30 / 3.5 * 0.5 = 4.3 s for a pool, but this one is at half after 15.
    assert tally.text(0.5, slowest=15.0) == "3 of 4 runs, 15 s left"


def test_work_weighs_and_what_is_expected_may_change(clock):
    tally = Tally("runs")
    tally.expect(4, work=30.0)
    clock.now = 10.0
    tally.count(DONE, work=1.0)
    tally.count(DONE, work=4.0)
    # 10 / 5 * 25 = 50 s.
    assert str(tally) == "2 of 4 runs, 50 s left"
    tally.expect(1, work=5.0)
    assert str(tally) == "2 of 3 runs, 10 s left"
    tally.expect(0, work=0.0)
    assert str(tally) == "2 of 2 runs"


def test_lines_are_more_than_half_a_minute_apart(clock):
    tally = Tally("runs")
    due = []
    for now in (10, 30, 40, 50, 70, 71, 100, 102):
        clock.now = now
        if tally.line_due():
            due.append(now)
    assert due == [40, 71, 102]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1 s"),
        (58.2, "59 s"),
        (59.5, "1 min"),
        (60, "1 min"),
        (60.1, "2 min"),
        (3599, "1 h 0 min"),
        (3601, "1 h 1 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_a_time_is_never_less_than_what_is_left(seconds, text):
    assert duration(seconds) == text
