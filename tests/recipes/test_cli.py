import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from keras_regimen.recipes.cli import app

runner = CliRunner()


def call(*arguments):
    return runner.invoke(app, [str(a) for a in arguments])


def run(file, out, *arguments):
    return call("run", file, "--workers", 0, "--out", out, *arguments)


def test_run_prints_table_and_verdict(measured, tmp_path):
    result = run(measured, tmp_path)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("dice · Dice: is a loaded one higher?")
    assert any(line.split()[:1] == ["loaded"] for line in lines)
    assert "1. reproduced" in result.stdout
    assert "20 of 20 cells finished, 20 of them now" in result.stdout
    assert max(len(line) for line in lines) <= 80


def test_run_json_is_the_documented_object(measured, tmp_path):
    result = run(measured, tmp_path, "--json")
    found = json.loads(result.stdout)
    assert list(found) == [
        "recipe",
        "scale",
        "verdict",
        "comparisons",
        "arms",
        "rows",
    ]
    assert (found["recipe"], found["verdict"]) == ("dice", "reproduced")
    assert len(found["rows"]) == 20
    claim = found["comparisons"][0]
    means = [
        sum(r["values"]["eyes"] for r in found["rows"] if r["arm"] == arm) / 10
        for arm in ("loaded", "fair")
    ]
    assert claim["mean"] == pytest.approx(means[0] - means[1])
    assert claim["low"] < claim["mean"] < claim["high"]


def test_json_has_no_verdict_where_none_is_given(measured, tmp_path):
    result = run(measured, tmp_path, "--json", "--scale", "smoke")
    assert json.loads(result.stdout)["verdict"] is None


def test_a_failed_cell_exits_with_1_and_says_why(measured, tmp_path):
    result = run(measured, tmp_path, "--set", "fault=raise", "--seeds", 1)
    assert result.exit_code == 1
    assert "2 cells failed" in result.stdout
    assert "ArithmeticError: the die fell off the table" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "dropuot"], "no recipe named 'dropuot'; did you mean dropout"),
        (["run", "{file}", "--arm", "fiar"], "no arm named 'fiar'"),
        (["run", "{file}", "--data", "digits"], "measures without data"),
        (["run", "{file}", "--seeds", "0"], "`seeds` must be a whole number"),
        (["run", "{file}", "--strategy", "ddp"], "mirrored, data_parallel"),
        (["run", "{file}", "--strategy", "multi_worker"], "Keras 3.15"),
        (["run", "{file}", "--devices", "2"], "over how many a `strategy`"),
        (["run", "{file}", "--precision", "half"], "mixed_bfloat16.*'half'"),
        (["run", "{file}", "--jit"], "measures, and has no model.*XLA"),
        (["run", "{file}", "--set", "bonis=1"], "no hyperparameter named"),
        (["run", "{file}", "--set", "bonus=much"], "Received: bonus='much'"),
        (["run", "{file}", "--set", "bonus=99"], "a number from 0 to 9"),
        (["run", "{file}", "--set", "bonus"], "--set takes key=value"),
        (["run", "{file}", "--out", "{file}/x"], "cannot write to"),
        (["run"], "give recipe names, or --all, or --stale"),
        (
            ["tune", "{file}", "--tuner", "magic"],
            "random, grid.*'magic'",
        ),
        (["tune", "{file}", "--trials", "0"], "`trials` must be at least 1"),
        (
            ["tune", "{file}", "--objective", "test_error"],
            "must not read test data",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    measured, tmp_path, arguments, sentence
):
    filled = [a.format(file=measured) for a in arguments]
    if "{file}" in arguments:
        filled += ["--workers", "0"]
        if "--out" not in arguments:
            filled += ["--out", str(tmp_path / "out")]
    result = call(*filled)
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert re.search(sentence, result.stderr)


def test_wrong_usage_exits_with_2():
    assert call("run", "dropout", "--scale", "huge").exit_code == 2
    assert call("fly").exit_code == 2


def test_corrupted_evidence_is_one_sentence_and_exit_2(measured, tmp_path):
    (tmp_path / "dice.jsonl").write_text('{"kind":"cell"}\n')
    result = run(measured, tmp_path)
    assert result.exit_code == 2
    assert "line 1: a cell row without" in result.stderr


def test_list_json_is_the_documented_array():
    found = json.loads(call("list", "--json").stdout)
    by_name = {entry["name"]: entry for entry in found}
    assert list(by_name["dropout"]) == [
        "name",
        "topic",
        "claim",
        "verdict",
        "effect",
        "interval",
        "seeds",
        "seconds",
    ]
    assert by_name["dropout"]["topic"] == "regularization"
    assert by_name["batch_norm"]["claim"].startswith("Batch normalization")


def test_status_counts_rows_and_names_broken_lines(measured, tmp_path):
    run(measured, tmp_path, "--seeds", 2)
    text = measured.read_text()
    measured.write_text(text.replace("rng.normal()", "2 * rng.normal()"))
    run(measured, tmp_path, "--seeds", 3)
    state = call("status", measured, "--out", tmp_path, "--json")
    (found,) = json.loads(state.stdout)
    counted = {k: found[k] for k in ("finished", "failed", "stale", "attempts")}
    assert counted == {"finished": 6, "failed": 0, "stale": 4, "attempts": 2}
    with (tmp_path / "dice.jsonl").open("a") as file:
        file.write("scribble\n")
    broken = call("status", measured, "--out", tmp_path)
    assert broken.exit_code == 2
    assert "dice.jsonl, line 13: not JSON" in broken.stderr


MODEL = """
import keras
import keras_tuner


class Flat(keras_tuner.HyperModel):
    def build(self, hp):
        rate = hp.Float("rate", 0.01, 0.1, sampling="log")
        model = keras.Sequential([keras.layers.Dense(3, "softmax")])
        model.compile(
            keras.optimizers.SGD(rate), "sparse_categorical_crossentropy"
        )
        return model
"""


def test_a_models_search_is_drawn_by_the_name_that_it_says(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_nets.py").write_text(MODEL)
    options = "--data wine --epochs 1 --trials 2 --rerun 0 --workers 0 --out of"
    tuned = call("tune", "my_nets.py:Flat", *options.split())
    assert tuned.exit_code == 0
    name, command = tuned.stdout.splitlines()[-1].split(": ", 1)
    assert (name, command) == (
        "plots",
        "regimen report my_nets.py:Flat --out of",
    )
    drawn = call(*command.split()[1:])
    assert drawn.stdout == ("1 page and an index: regimen-report/index.html\n")
    page = (tmp_path / "regimen-report" / "flat.search.html").read_text()
    assert "The best of 2 trials has a validation loss of" in page


def test_a_search_that_is_not_there_is_one_sentence(tmp_path):
    result = call("report", "my_nets.py:Flat", "--out", tmp_path)
    assert result.exit_code == 2
    assert "no rows of a search of 'my_nets.py:Flat'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("command", [["--help"], ["list"], ["status"]], ids=str)
def test_quick_commands_import_neither_keras_nor_scipy_stats(command):
    code = (
        "import sys\n"
        "from keras_regimen.recipes.cli import main\n"
        f"try:\n    main({command})\nexcept SystemExit:\n    pass\n"
        "heavy = {'keras', 'tensorflow', 'scipy', 'numpy', 'distributed'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(
    measured, tmp_path
):
    text = measured.read_text()
    slow = "import time; time.sleep(0.3)\n    bonus ="
    measured.write_text(text.replace("bonus =", slow, 1))
    command = [sys.executable, "-m", "keras_regimen.recipes.cli", "run"]
    # Where tests run in the background, Ctrl-C is ignored, and children inherit
    # that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*command, str(measured), "--workers", "2", "--out", str(tmp_path)],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    path = tmp_path / "dice.jsonl"
    while process.poll() is None and not (
        path.exists() and path.read_bytes().count(b"\n") > 2
    ):
        time.sleep(0.05)
    # As a terminal does: to the whole group, workers included.
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; finished cells are kept" in errors
    assert "Traceback" not in errors
    kept = path.read_bytes()
    assert kept.endswith(b"\n")
    assert 3 <= kept.count(b"\n") < 21


@pytest.mark.slow
def test_a_script_a_name_and_the_command_are_one_thing(measured, tmp_path):
    command = [sys.executable, str(measured), "--seeds", "2", "--json"]
    script = subprocess.run(
        [*command, "--workers", "0", "--out", str(tmp_path / "a")],
        capture_output=True,
        text=True,
    )
    by_command = run(measured, tmp_path / "b", "--seeds", 2, "--json")
    a, b = json.loads(script.stdout), json.loads(by_command.stdout)
    assert [r["id"] for r in a["rows"]] == [r["id"] for r in b["rows"]]
    assert a["arms"][0]["mean"] == b["arms"][0]["mean"]
