import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_regimen.recipes.harness.engine.computation import Computation
from keras_regimen.recipes.harness.evidence.discovery import find, load
from keras_regimen.recipes.harness.evidence.evidence import (
    Evidence,
    evidence_of,
)
from keras_regimen.recipes.harness.refusal import RefusalError
from keras_regimen.recipes.harness.run import run_recipe


def run(file, **options):
    return run_recipe(file, workers=0, **options)


def table_of(result):
    """Returns a result's table without what a clock or a folder decides."""
    return [
        (record["arm"], record["data"], record["mean"], record["sd"])
        for record in result.arms
    ] + [(c.word, c.verdict) for c in result.comparisons]


def test_a_finished_cell_is_never_run_again(measured, tmp_path):
    first = run(measured, out=tmp_path)
    second = run(measured, out=tmp_path)
    assert (first.ran, second.ran) == (20, 0)
    assert first.verdicts == ["reproduced"]
    assert table_of(second) == table_of(first)
    assert len((tmp_path / "dice.jsonl").read_bytes().splitlines()) == 21


def test_more_seeds_run_only_the_new_ones_and_are_another_look(
    measured, tmp_path
):
    run(measured, out=tmp_path)
    more = run(measured, out=tmp_path, seeds=12)
    assert more.ran == 4
    run(measured, out=tmp_path, seeds=12)
    run(measured, out=tmp_path, seeds=10)
    rows = Evidence(tmp_path / "dice.jsonl").rows()
    looks = [(r["n"], r["look"], r["parts"]) for r in rows if "look" in r]
    assert looks == [(10, 0, 1), (12, 1, 2)]


def test_other_settings_are_another_attempt(measured, tmp_path):
    run(measured, out=tmp_path)
    run(measured, out=tmp_path, settings={"bonus": 1.0}, seeds=10)
    rows = Evidence(tmp_path / "dice.jsonl").rows()
    verdicts = [row for row in rows if row["kind"] == "verdict"]
    assert len({row["attempt"] for row in verdicts}) == 2
    assert [row["look"] for row in verdicts] == [0, 0]
    # Both arms then are the same.
    assert verdicts[1]["claims"][0]["verdict"] == "failed"


def test_another_precision_is_another_cell_and_stands_in_all_rows(
    fitted, tmp_path
):
    plain = run(fitted, out=tmp_path, seeds=1)
    half = Computation(precision="mixed_bfloat16")
    low = run(fitted, out=tmp_path, seeds=1, computation=half)
    assert (plain.ran, low.ran) == (2, 2)
    for one, other in zip(plain.rows, low.rows, strict=True):
        assert other["status"] == "done", other.get("traceback")
        assert other["computation"] == {"precision": "mixed_bfloat16"}
        assert "computation" not in one
        # Eight bits of a mantissa are other numbers, and as good ones.
        assert one["final"]["test_loss"] != other["final"]["test_loss"]
        assert one["final"]["test_loss"] == pytest.approx(
            other["final"]["test_loss"], rel=0.05
        )
    assert "seeds · mixed_bfloat16" in low.table
    assert "mixed" not in plain.table
    verdicts = [
        row
        for row in Evidence(tmp_path / "clouds.jsonl").rows()
        if row["kind"] == "verdict"
    ]
    assert [v.get("computation") for v in verdicts] == [
        None,
        {"precision": "mixed_bfloat16"},
    ]
    assert [v["as_declared"] for v in verdicts] == [True, False]


def test_changed_code_makes_rows_stale_and_runs_again(measured, tmp_path):
    run(measured, out=tmp_path, seeds=2)
    text = measured.read_text()
    measured.write_text(text.replace('"""Dice:', '"""Two dice:'))
    assert run(measured, out=tmp_path, seeds=2).ran == 0
    measured.write_text(text.replace("integers(1, 7)", "integers(1, 9)"))
    assert run(measured, out=tmp_path, seeds=2).ran == 4


def test_failed_cells_run_again_only_when_asked(measured, tmp_path):
    options = {"out": tmp_path, "settings": {"fault": "raise"}, "seeds": 2}
    first = run(measured, **options)
    assert (first.ran, len(first.failed)) == (4, 4)
    assert first.verdicts == ["failed"]
    assert run(measured, **options).ran == 0
    assert run(measured, retry_failed=True, **options).ran == 4


def test_a_single_arm_gives_no_verdict_but_its_rows(measured, tmp_path):
    result = run(measured, out=tmp_path, arms=["loaded"])
    assert (result.ran, result.verdicts) == (10, [])
    assert {row["arm"] for row in result.rows} == {"loaded"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"computation": Computation(jit=True)},
            "dice measures, and has no model",
        ),
        ({"seeds": 0}, "`seeds` must be a whole number.*0"),
        ({"workers": -1}, "`workers` must be a whole number"),
        (
            {"arms": ["fiar"]},
            "no arm named 'fiar' in dice; it has fair, loaded",
        ),
        ({"data": "digits"}, "dice measures without data.*'digits'"),
        ({"settings": {"bonis": 1}}, "no hyperparameter named 'bonis'.*bonus"),
        ({"settings": {"bonus": 10.0}}, "'bonus' must be a number from 0 to 9"),
        ({"settings": {"bonus": "a lot"}}, "Received: bonus='a lot'"),
    ],
)
def test_a_bad_request_is_refused_before_anything_runs(
    measured, tmp_path, options, sentence
):
    with pytest.raises(RefusalError, match=sentence):
        run_recipe(measured, **{"workers": 0, "out": tmp_path, **options})
    assert not (tmp_path / "dice.jsonl").exists()


def test_broken_evidence_is_refused_before_anything_runs(measured, tmp_path):
    (tmp_path / "dice.jsonl").write_text("scribble\n")
    with pytest.raises(RefusalError, match=r"dice\.jsonl, line 1: not JSON"):
        run(measured, out=tmp_path)


def test_evidence_stands_beside_a_users_own_recipe(measured):
    run(measured, seeds=1)
    assert len(evidence_of(measured).rows()) == 3
    assert evidence_of(measured).path == measured.with_suffix(".jsonl")


def test_smoke_rows_go_elsewhere_for_they_are_no_evidence(
    measured, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = run(measured, scale="smoke")
    assert (result.ran, result.verdicts) == (4, [None])
    assert (tmp_path / "regimen-evidence" / "dice.jsonl").exists()
    assert not measured.with_suffix(".jsonl").exists()


def test_a_recipe_object_runs_itself(measured, tmp_path):
    result = load(measured).run(workers=0, seeds=2, out=tmp_path)
    assert len(result.rows) == 4
    assert "loaded" in result.table
    assert "loaded" in result._repr_html_()


def test_shipped_recipes_keep_evidence_in_the_checkout():
    path = evidence_of(find("dropout")).path
    assert path.parts[-2:] == ("evidence", "dropout.jsonl")


def test_an_interrupted_run_goes_on_where_it_stopped(fitted, tmp_path):
    class Interrupt:
        left = 3

        def planned(self, plan, pending):
            pass

        def finished(self, row):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(fitted, out=tmp_path / "a", reporter=Interrupt())
    rest = run(fitted, out=tmp_path / "a")
    whole = run(fitted, out=tmp_path / "b")
    assert (rest.ran, whole.ran) == (3, 6)
    assert table_of(rest) == table_of(whole)

    def curves(result):
        return {row["id"]: row["curves"] for row in result.rows}

    assert curves(rest) == curves(whole)


@pytest.mark.slow
def test_killing_everything_loses_no_finished_cell(measured, tmp_path):
    """`kill -9` of the whole process group, REGIMEN_KILLS times (2)."""
    text = measured.read_text()
    slow = "import time; time.sleep(0.05)\n    bonus ="
    measured.write_text(text.replace("bonus =", slow, 1))
    path = tmp_path / "killed" / "dice.jsonl"
    command = [sys.executable, "-m", "keras_regimen.recipes.cli", "run"]
    command += [str(measured), "--seeds", "60", "--workers", "2", "--out"]
    rng = random.Random(0)
    for _ in range(int(os.environ.get("REGIMEN_KILLS", "2"))):
        before = path.read_bytes() if path.exists() else b""
        process = subprocess.Popen(
            [*command, str(path.parent)],
            start_new_session=True,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        _wait_for_rows(path, len(before.splitlines()) + 3)
        time.sleep(rng.uniform(0, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        after = path.read_bytes()
        assert after.startswith(before)
        assert after.endswith(b"\n")
    finished = len(path.read_bytes().splitlines())
    killed = run(measured, seeds=60, out=path.parent)
    undisturbed = run(measured, seeds=60, out=tmp_path / "undisturbed")
    assert killed.ran == 120 - finished
    ids = [row["id"] for row in killed.rows]
    assert len(ids) == len(set(ids)) == 120
    assert table_of(killed) == table_of(undisturbed)


def _wait_for_rows(path: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise TimeoutError(f"no {count} rows in {path}")
