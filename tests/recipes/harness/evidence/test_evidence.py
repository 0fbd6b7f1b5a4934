import json
import math
import multiprocessing
import os
import signal

import pytest

from keras_regimen.recipes.harness.evidence.evidence import Evidence, finite
from keras_regimen.recipes.harness.refusal import RefusalError


def row(**fields):
    start = {"kind": "cell", "id": "1", "recipe": "demo", "arm": "plain"}
    rest = {"seed": 0, "scale": "cpu", "data": "", "code": "", "status": "done"}
    return {**start, **rest, **fields}


@pytest.fixture
def evidence(tmp_path):
    return Evidence(tmp_path / "deeper" / "demo.jsonl")


def test_rows_come_back_as_they_were(evidence):
    rows = [row(id=str(n), curves={"loss": [0.1, n]}) for n in range(3)]
    for each in rows:
        evidence.append(each)
    assert evidence.rows() == rows


def test_what_is_not_finite_is_null_with_a_mark(evidence):
    loss = [1.5, math.nan, math.inf, -math.inf]
    evidence.append(row(curves={"loss": loss}, final=math.nan))
    line = json.loads(evidence.path.read_text())
    assert line["curves"]["loss"] == [1.5, None, None, None]
    (back,) = evidence.rows()
    assert back["curves"]["loss"][2:] == [math.inf, -math.inf]
    assert math.isnan(back["curves"]["loss"][1])
    assert math.isnan(back["final"])
    assert "not_finite" not in back


def test_float32_values_come_back_to_the_bit(evidence):
    evidence.append(row(loss=0.1 + 0.2))
    assert evidence.rows()[0]["loss"] == 0.1 + 0.2


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{broken", "not JSON"),
        ("[1, 2]", "not a row of evidence"),
        ('{"kind":"cell","id":"1"}', "a cell row without"),
        (json.dumps(row(recipe="other")), "another recipe, 'other'"),
    ],
)
def test_a_broken_line_is_reported_with_its_number(evidence, line, what):
    evidence.append(row(id="a"))
    with evidence.path.open("a") as file:
        file.write(line + "\n")
    evidence.append(row(id="b"))
    rows, problems = evidence.read()
    assert [r["id"] for r in rows] == ["a", "b"]
    assert [p.line for p in problems] == [2]
    assert what in problems[0].what
    with pytest.raises(RefusalError, match=r"demo\.jsonl, line 2: "):
        evidence.rows()
    assert line in evidence.path.read_text()


def test_a_torn_last_line_is_reported_and_its_row_written_anew(evidence):
    evidence.append(row(id="a"))
    whole = evidence.path.read_bytes()
    evidence.append(row(id="b"))
    torn = evidence.path.read_bytes()[:-30]
    evidence.path.write_bytes(torn)
    rows, problems = evidence.read()
    assert [r["id"] for r in rows] == ["a"]
    assert (problems[0].line, problems[0].what[:4]) == (2, "torn")
    assert evidence.rows() == rows  # A crash is no reason to refuse.
    evidence.append(row(id="c"))
    assert "line 2: cut off by a crash" in evidence.repaired
    assert [r["id"] for r in evidence.rows()] == ["a", "c"]
    assert evidence.path.read_bytes().startswith(whole)


def test_a_last_row_that_only_lacks_its_newline_is_kept(evidence):
    evidence.append(row(id="a"))
    evidence.path.write_bytes(evidence.path.read_bytes().rstrip(b"\n"))
    evidence.append(row(id="b"))
    assert [r["id"] for r in evidence.rows()] == ["a", "b"]
    assert evidence.repaired is None


def test_shipped_rows_are_read_and_never_written(tmp_path):
    shipped = Evidence(tmp_path / "shipped" / "demo.jsonl")
    shipped.append(row(id="a"))
    before = shipped.path.read_bytes()
    own = Evidence(tmp_path / "own" / "demo.jsonl", shipped=shipped.path)
    own.append(row(id="b"))
    assert [r["id"] for r in own.rows()] == ["a", "b"]
    assert shipped.path.read_bytes() == before


def test_rows_of_one_kind_are_found_without_parsing_the_rest(evidence):
    evidence.append(row(id="a"))
    verdict = {"kind": "verdict", "recipe": "demo", "scale": "cpu"}
    verdict |= {"attempt": "x", "look": 0, "n": 10, "claims": []}
    evidence.append(verdict)
    assert evidence.read(kind="verdict")[0] == [verdict]


def test_an_unwritable_place_is_refused_by_its_name(tmp_path):
    (tmp_path / "file").write_text("")
    evidence = Evidence(tmp_path / "file" / "demo.jsonl")
    with pytest.raises(RefusalError, match=r"cannot write to .*demo\.jsonl"):
        evidence.check_writable()
    with pytest.raises(RefusalError, match=r"cannot write to .*demo\.jsonl"):
        evidence.append(row())


def test_looking_whether_it_is_writable_leaves_nothing(evidence):
    evidence.check_writable()
    assert list(evidence.path.parent.iterdir()) == []


def append_for_ever(path, start):
    evidence = Evidence(path)
    start.wait()
    for n in range(100_000):
        evidence.append(row(id=f"{os.getpid()}-{n}", pad="x" * 5000))


def test_writers_that_are_killed_leave_only_whole_rows(evidence):
    evidence.append(row(id="first"))
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    writers = [
        context.Process(target=append_for_ever, args=(evidence.path, start))
        for _ in range(3)
    ]
    for writer in writers:
        writer.start()
    start.set()
    while len(evidence.path.read_bytes()) < 400_000:
        pass
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
    evidence.append(row(id="last"))
    rows = evidence.rows()
    assert rows[0]["id"] == "first"
    assert rows[-1]["id"] == "last"
    by_writer = {}
    for each in rows[1:-1]:
        writer, _, number = each["id"].partition("-")
        by_writer.setdefault(writer, []).append(int(number))
        assert len(each["pad"]) == 5000
    for numbers in by_writer.values():
        assert numbers == list(range(len(numbers)))


def test_finite_makes_any_figures_valid_json():
    assert finite({"a": (1, math.inf), "b": [math.nan]}) == {
        "a": [1, None],
        "b": [None],
    }
