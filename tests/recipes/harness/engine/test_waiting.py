import time

from keras_regimen.recipes.harness.engine import waiting as module
from keras_regimen.recipes.harness.engine.waiting import Waiting, waiting_said


def said(looks):
    """Returns the seconds at which something was said, by (second, count)."""
    now = 0
    waiting = Waiting("tcp://h:1", lambda: now)
    found = {}
    for now, count in looks:
        found[now] = waiting.look(count)
    return {second: told for second, told in found.items() if told}


def test_it_is_said_after_five_seconds_and_then_each_half_minute():
    found = said([(second, 0) for second in range(100, 171)])
    assert list(found) == [105, 135, 165]
    assert found[105].endswith("`dask worker tcp://h:1 --nthreads 1`")
    assert found[165] == "waiting for a worker at tcp://h:1, 65 s"


def test_the_end_of_a_wait_is_said_if_the_wait_was():
    found = said([(0, 0), (3, 0), (4, 2), (6, 0), (10, 0), (11, 1), (12, 1)])
    assert found == {}  # Short waits do not add up.
    found = said([(0, 0), (7, 0), (8, 1), (9, 1), (10, 0), (16, 0)])
    assert list(found) == [7, 8, 16]
    assert found[8] == "a worker is there, after 8 s"
    assert ", 6 s; start one" in found[16]


def test_it_stands_on_the_error_stream(monkeypatch, capfd):
    monkeypatch.setattr(module, "_SECONDS_BEFORE_FIRST", 0.0)
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_LOOKS", 0.01)
    answers = iter([OSError("gone"), {}, {}, {"tcp://w:1": 1}])

    def workers():
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    with waiting_said("tcp://h:1", workers):
        deadline = time.monotonic() + 5
        printed = ""
        while "is there" not in printed and time.monotonic() < deadline:
            time.sleep(0.01)
            printed += capfd.readouterr().err
    first, *_, last = printed.splitlines()
    assert first.startswith("regimen: waiting for a worker at tcp://h:1, 0 s")
    assert last == "regimen: a worker is there, after 0 s"
