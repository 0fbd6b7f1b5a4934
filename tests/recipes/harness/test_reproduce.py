import json
import math

import pytest
from typer.testing import CliRunner

from keras_regimen.recipes.cli import app
from keras_regimen.recipes.harness import reproduce
from keras_regimen.recipes.harness.refusal import RefusalError
from keras_regimen.recipes.harness.reproduce import compare_rows, reproduce_row
from keras_regimen.recipes.harness.run import run_recipe

ROW = {
    "status": "done",
    "code": "aaaa",
    "curves": {"loss": [3.0, 2.0, math.nan], "val_loss": [3.5, 2.5, 2.0]},
    "final": {"test_error": 0.25},
    "values": {"eyes": 0.0},
    "versions": {"keras": "3.15.1", "numpy": "2.4.6"},
    "hyperparameters": {"rate": 0.5},
    "device": "cpu",
    "threads": 1,
    "backend": "tensorflow",
    "protocol": 1,
    "fingerprint": "beef",
}


def test_a_row_equals_itself_with_its_nan():
    found = compare_rows(ROW, json.loads(json.dumps(ROW)))
    assert found.equal
    assert found.figures == 8
    assert (found.differences, found.changes) == ([], ())


def test_the_largest_difference_comes_first_with_its_epoch():
    curves = {"loss": [3.0, 2.0, math.nan], "val_loss": [3.5, 2.25, 2.75]}
    found = compare_rows(ROW, ROW | {"curves": curves, "final": {}})
    assert not found.equal
    missing, curve = found.differences
    assert (missing.series, missing.now) == ("final/test_error", None)
    assert (missing.size, missing.epoch) == (math.inf, None)
    assert curve.to_json() == {
        "series": "curves/val_loss",
        "figures": 3,
        "differing": 2,
        "first_epoch": 2,
        "epoch": 3,
        "then": 2.0,
        "now": 2.75,
        "size": 0.75,
    }


@pytest.mark.parametrize(
    ("now", "size"), [(-0.0, 0.0), (math.nan, math.inf), (5e-324, 5e-324)]
)
def test_the_smallest_difference_is_one(now, size):
    (found,) = compare_rows(ROW, ROW | {"values": {"eyes": now}}).differences
    assert (found.series, found.size) == ("values/eyes", size)


def test_a_shorter_curve_differs_where_it_ends():
    curves = {**ROW["curves"], "val_loss": [3.5, 2.5]}
    (found,) = compare_rows(ROW, ROW | {"curves": curves}).differences
    assert (found.first_epoch, found.then, found.now) == (3, 2.0, None)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"versions": {"keras": "3.16"}}, "keras: 3.15.1 then, 3.16 now"),
        ({"versions": {"keras": "3.15.1"}}, "numpy: 2.4.6 then, none now"),
        ({"hyperparameters": {"rate": 0.4}}, "rate: 0.5 then, 0.4 now"),
        ({"device": "H100"}, "device: cpu then, H100 now"),
        ({"threads": 2}, "threads: 1 then, 2 now"),
        ({"backend": "jax"}, "backend: tensorflow then, jax now"),
        ({"protocol": 2}, "protocol of the harness: 1 then, 2 now"),
        ({"fingerprint": "f"}, "fingerprint of the data: beef then, f now"),
        ({"code": "b"}, "stale: code aaaa then, b now, of a.py, helper.py"),
    ],
)
def test_what_else_changed_is_said(changed, sentence):
    found = compare_rows(ROW, ROW | changed, ["a.py", "helper.py"])
    assert found.equal
    assert sentence in found.changes[0]


def test_a_cell_that_fails_again_alike_is_equal():
    failed = {"status": "failed", "error": "it fell", "code": "aaaa"}
    assert compare_rows(failed, dict(failed)).equal
    assert not compare_rows(failed, failed | {"error": "it broke"}).equal
    found = compare_rows(ROW, failed)
    assert not found.equal
    assert (found.differences, found.figures) == ([], 0)


def test_data_of_the_users_own_must_be_named(measured, tmp_path):
    run_recipe(measured, seeds=1, workers=0, out=tmp_path)
    path = tmp_path / "dice.jsonl"
    text = path.read_text().replace('"data":""', '"data":"x.csv:y@0123abcd"')
    path.write_text(text)
    id_ = json.loads(text.splitlines()[0])["id"]
    with pytest.raises(RefusalError, match=r"own data, x\.csv:y@.*--data"):
        reproduce_row(f"{measured}:{id_}", out=tmp_path)


@pytest.mark.slow
def test_a_trained_cell_comes_out_the_same_to_the_bit(fitted, tmp_path):
    """And a figure that somebody changed in the row does not."""
    run_recipe(fitted, seeds=2, workers=1, out=tmp_path)
    path = tmp_path / "clouds.jsonl"
    before = path.read_bytes()
    row = json.loads(before.splitlines()[2])
    command = ["reproduce", f"{fitted}:{row['id'][:12]}", "--out", tmp_path]
    same = CliRunner().invoke(app, [str(word) for word in command])
    assert same.exit_code == 0
    figures = 4 * len(row["curves"]) + len(row["final"])
    assert f"equal to the bit: {figures} figures" in same.stdout
    assert path.read_bytes() == before

    forged = row["curves"]["val_loss"][1] + 0.5
    row["curves"]["val_loss"][1] = forged
    path.write_text(json.dumps(row, separators=(",", ":")) + "\n")
    fitted.write_text(fitted.read_text() + "\nSTALE = True\n")
    other = CliRunner().invoke(app, [*map(str, command), "--json"])
    assert other.exit_code == 1
    found = json.loads(other.stdout)
    (difference,) = found["differences"]
    assert difference["series"] == "curves/val_loss"
    assert (difference["epoch"], difference["then"]) == (2, forged)
    assert difference["size"] == pytest.approx(0.5)
    (change,) = found["changes"]
    assert change.startswith("the row is stale: code ")
    assert change.endswith("of clouds.py")


@pytest.mark.slow
@pytest.mark.release
def test_the_row_of_another_backend_says_so(fitted, tmp_path):
    pytest.importorskip("jax")
    pytest.importorskip("torch")
    run_recipe(fitted, seeds=1, workers=1, out=tmp_path, backend="jax")
    row = json.loads((tmp_path / "clouds.jsonl").read_text().splitlines()[0])
    assert (row["status"], row["backend"]) == ("done", "jax")
    assert "jax" in row["versions"]
    name = f"{fitted}:{row['id']}"
    assert reproduce.reproduce_row(name, out=tmp_path).equal
    found = reproduce.reproduce_row(name, out=tmp_path, backend="torch")
    assert "backend: jax then, torch now" in found.changes
    assert not found.equal
    # Another backend draws other weights; it learns the same clouds.
    assert found.again["final"]["test_error"] < row["chance"]
