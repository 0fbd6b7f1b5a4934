import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keras_regimen.recipes.cli import app
from keras_regimen.recipes.harness.new_recipe import (
    TEMPLATE,
    new_recipe,
    next_steps,
)
from keras_regimen.recipes.harness.refusal import RefusalError

ROOT = Path(__file__).resolve().parents[3]


def call(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_template_is_written_under_the_name(tmp_path):
    file = new_recipe("my_idea", tmp_path / "deep" / "down")
    assert file == tmp_path / "deep" / "down" / "my_idea.py"
    assert file.read_bytes() == TEMPLATE.read_bytes()


def test_a_file_that_is_there_is_left_as_it_is(tmp_path):
    (tmp_path / "my_idea.py").write_text("mine")
    with pytest.raises(RefusalError, match=r"my_idea\.py' is there already"):
        new_recipe("my_idea", tmp_path)
    assert (tmp_path / "my_idea.py").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "there").write_text("mine")
    with pytest.raises(RefusalError, match="there' is there already"):
        new_recipe("my_idea", tmp_path / "there")
    with pytest.raises(RefusalError, match=r"cannot write to .*my_idea\.py'"):
        new_recipe("my_idea", tmp_path / "there" / "below")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("my-idea", "Received: 'my-idea'; try my_idea"),
        ("my idea.py", "Received: 'my idea.py'; try my_idea"),
        ("2nd-try", "Received: '2nd-try'; try my_2nd_try"),
        ("lambda", "Received: 'lambda'; try my_lambda"),
        ("", "Received: ''; try my_recipe"),
        ("..", r"Received: '\.\.'; try my_recipe"),
        ("lab/my-idea.py", "holds no folder.*try my_idea --to lab"),
        ("dropout", "'dropout' is a recipe of the package.*try my_dropout"),
        ("random", "'random' is a module, which random.py would hide"),
        ("keras", "'keras' is a module, which keras.py would hide"),
        ("keras_regimen", "'keras_regimen' is a module"),
        ("__main__", "'__main__' is a module"),
    ],
)
def test_a_name_that_will_not_do_is_refused(tmp_path, name, sentence):
    with pytest.raises(RefusalError, match=sentence):
        new_recipe(name, tmp_path)
    assert list(tmp_path.iterdir()) == []
    # What is suggested does.
    suggested = re.search(r"try (\S+)", sentence)
    if suggested:
        assert new_recipe(suggested[1].partition(" ")[0], tmp_path).is_file()


def test_a_folder_of_that_name_is_no_module(tmp_path, monkeypatch):
    (tmp_path / "my_idea").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert new_recipe("my_idea", tmp_path).is_file()


def test_what_is_printed_can_be_pasted_into_a_shell(tmp_path):
    file = new_recipe("my_idea", tmp_path / "a b")
    steps = next_steps(file)
    assert f"regimen run '{file}'\n" in steps
    assert f"in {file.with_suffix('.jsonl')}: finished" in steps
    assert (ROOT / "docs" / "recipes.md").is_file()


def test_the_command_refuses_with_a_sentence_and_exit_2(tmp_path):
    result = call("new", "my-idea", "--to", tmp_path)
    assert result.exit_code == 2
    assert result.stderr == (
        "regimen: a recipe's name must be one that Python can import. "
        "Received: 'my-idea'; try my_idea\n"
    )


@pytest.mark.parametrize("check", [["check"], ["format", "--check"]], ids=str)
def test_a_new_recipe_is_clean_to_ruff(tmp_path, check):
    pytest.importorskip("ruff")
    file = new_recipe("my_idea", tmp_path)
    settings = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    command = [sys.executable, "-m", "ruff", *check, *settings, str(file)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_from_nothing_to_a_verdict_with_evidence_beside_the_file(
    tmp_path, monkeypatch
):
    """The way of a newcomer: new, run, status, tune, list."""
    monkeypatch.chdir(tmp_path)
    # A recipe's folder becomes importable, which is not to outlive the test.
    monkeypatch.setattr(sys, "path", [*sys.path])
    said = call("new", "my_idea").stdout
    steps = re.findall(r"^  regimen (.+)$", said, flags=re.M)
    assert steps == [f"{c} my_idea.py" for c in ("run", "tune", "status")]

    enough = ["--seeds", 6, "--workers", 0]  # Fewer decide nothing.
    first = call(*steps[0].split(), *enough, "--json")
    assert first.exit_code == 0
    found = json.loads(first.stdout)
    assert found["verdict"] is not None
    assert [row["status"] for row in found["rows"]] == ["done"] * 12
    evidence = tmp_path / "my_idea.jsonl"
    assert evidence.read_bytes().count(b"\n") == 13  # Cells and the verdict.

    (state,) = json.loads(call(*steps[2].split(), "--json").stdout)
    assert (state["finished"], state["path"]) == (12, str(evidence))

    again = call(*steps[0].split(), *enough)
    assert "12 of 12 cells finished, 0 of them now" in again.stdout
    assert "evidence: my_idea.jsonl\n" in again.stdout

    budget = ["--trials", 2, "--rerun", 1, "--workers", 0]
    searched = call(*steps[1].split(), *budget)
    assert searched.exit_code == 0
    assert "learning_rate=" in searched.stdout
    assert "rows: my_idea.search.jsonl\n" in searched.stdout

    (entry,) = json.loads(call("list", "my_idea.py", "--json").stdout)
    assert entry["name"] == "my_idea"
    assert entry["verdict"] == found["verdict"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "my_idea.jsonl",
        "my_idea.py",
        "my_idea.search.jsonl",
    ]
