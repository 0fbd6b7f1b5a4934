import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keras_regimen.recipes.cli import app
from keras_regimen.recipes.harness import doctor
from keras_regimen.recipes.harness.evidence.discovery import find
from keras_regimen.recipes.harness.evidence.evidence import evidence_of
from keras_regimen.recipes.harness.finding import Finding


@pytest.fixture
def diagnosed(monkeypatch):
    """Returns findings by check, without those of the installation."""
    monkeypatch.setattr(doctor, "installation", list)

    def diagnose(out=None):
        found = {}
        for finding in doctor.diagnose(out):
            found.setdefault(finding.check, []).append(finding)
        return found

    return diagnose


@pytest.fixture
def copied(tmp_path):
    """A folder with the shipped rows of one recipe."""
    for suffix in ("", ".search"):
        shutil.copy(evidence_of(find("dropout"), suffix=suffix).path, tmp_path)
    return tmp_path


def test_the_shipped_evidence_is_whole(diagnosed):
    found = diagnosed()
    (evidence,) = found["evidence"]
    assert evidence.state == "ok"
    assert "finished cells" in evidence.what


def test_a_torn_or_foreign_line_is_a_problem(diagnosed, copied):
    with (copied / "dropout.search.jsonl").open("a") as file:
        file.write('scribble\n{"kind":"ce')
    (broken,) = diagnosed(copied)["evidence of dropout"]
    assert broken.state == "problem"
    assert "dropout.search.jsonl, line " in broken.what
    assert "not JSON (and 1 more)" in broken.what


def test_rows_of_earlier_code_alone_are_a_warning(diagnosed, copied):
    path = copied / "dropout.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text(
        "".join(json.dumps({**r, "code": "old"}) + "\n" for r in rows)
    )
    (stale,) = diagnosed(copied)["evidence of dropout"]
    cells = len({row["id"] for row in rows if row["kind"] == "cell"})
    assert stale == Finding(
        "evidence of dropout",
        "warning",
        f"all {cells} rows are of code that has changed since",
        "regimen run dropout",
    )


def test_tuned_values_without_a_search_are_a_warning(diagnosed, monkeypatch):
    real = doctor.evidence_of

    def without_search(file, out=None, suffix=""):
        missing = suffix and file.stem == "dropout"
        return real(file, Path("nowhere") if missing else out, suffix)

    monkeypatch.setattr(doctor, "evidence_of", without_search)
    (missing,) = diagnosed()["evidence of dropout"]
    assert missing.state == "warning"
    assert missing.remedy == "regimen tune dropout"


def test_the_cache_is_measured_and_tried(diagnosed, tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/rows").write_bytes(bytes(3 * 1024**2))
    monkeypatch.setenv("REGIMEN_CACHE", str(tmp_path))
    (cache,) = diagnosed()["cache"]
    assert (cache.state, cache.what) == ("ok", f"{tmp_path}, 3.0 MB")
    monkeypatch.setenv("REGIMEN_CACHE", "/proc/regimen")
    (cache,) = diagnosed()["cache"]
    assert cache.state == "problem"
    assert "cannot write to /proc/regimen" in cache.what


@pytest.mark.parametrize(
    ("free", "state"),
    [(100 * 1024**2, "problem"), (1024**3, "warning"), (10 * 1024**3, "ok")],
)
def test_little_room_is_said(diagnosed, monkeypatch, free, state):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    (disk,) = diagnosed()["disk"]
    assert disk.state == state


@pytest.mark.parametrize(
    ("state", "code"), [("ok", 0), ("warning", 0), ("problem", 1)]
)
def test_only_a_problem_ends_the_command_with_1(monkeypatch, state, code):
    findings = [Finding("disk", state, "full", "make room")]
    monkeypatch.setattr(doctor, "diagnose", lambda out: findings)
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == code
    assert json.loads(result.stdout) == [findings[0].to_json()]
