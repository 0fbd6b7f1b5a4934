"""As a new user would: a file or a folder to a verdict, in one command."""

import csv
import json
import socket
import time

import numpy as np
import pytest
import tensorflow as tf
from typer.testing import CliRunner

from keras_regimen.recipes.cli import app

ARMS = ("--arm", "plain", "--arm", "dropout", "--workers", "0")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The user's folder, where the command is given."""
    monkeypatch.setenv("REGIMEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(app, ["run", *arguments, "--out", "out"])


@pytest.fixture
def customers(folder):
    """Who is old or on the basic plan leaves; with what real tables have."""
    rng = np.random.default_rng(0)

    def unless(chance, value):
        return "" if rng.random() < chance else value

    with (folder / "customers.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "age", "income", "plan", "churned"])
        for row in range(120):
            age = rng.integers(18, 80)
            plan = rng.choice(["basic", "pro", "team"])
            odds = np.exp((age - 50) / 8 + 3 * (plan == "basic") - 1)
            leaves = rng.random() < odds / (1 + odds)
            writer.writerow(
                [
                    f"c{row:03}",
                    unless(0.1, age),
                    unless(0.2, round(rng.lognormal(10, 1))),
                    unless(0.1, plan),
                    "" if row == 7 else ["no", "yes"][int(leaves)],
                ]
            )


@pytest.mark.slow
def test_a_table_to_a_verdict(customers):
    words = ["dropout", "--data", "customers.csv:churned", "--seeds", "6"]
    result = call(*words, *ARMS, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    # Of the claims on noisy and on clean labels one is left for this data.
    assert len(found["comparisons"]) == 2
    assert found["verdict"] in (
        "reproduced",
        "same direction",
        "no effect",
        "opposite",
        "underpowered",
    )
    rows = found["rows"]
    assert len(rows) == 12
    for row in rows:
        assert row["source"] == row["data"]
        assert row["data"].startswith("customers.csv:churned@")
        assert sum(row["items"].values()) == 119
    # Both arms of a seed see the same rows, another seed others.
    prints = {(row["seed"], row["fingerprint"]) for row in rows}
    assert len(prints) == len({p for _, p in prints}) == 6
    # There is something in these columns, and the nets have found it.
    errors = [row["final"]["test_error"] for row in rows]
    assert np.mean(errors) < np.mean([row["chance"] for row in rows])
    # The same command has nothing left to do; a changed file has.
    assert "0 of them now" in call(*words, *ARMS).stdout
    with open("customers.csv", "a") as file:
        file.write("c999,30,20000,pro,no\n")
    fewer = call("dropout", "--data", words[2], "--seeds", "1", *ARMS)
    assert "2 of 2 cells finished, 2 of them now" in fewer.stdout
    assert fewer.stderr.splitlines()[0] == (
        "customers.csv: 120 rows, 3 columns (1 text), target 'churned': 2 "
        "classes; 1 row without a target left out; left out: 'id' (an id)"
    )


@pytest.fixture
def photos(folder):
    rng = np.random.default_rng(0)
    for name, place in {"left": 0, "right": 4}.items():
        for row in range(25):
            image = rng.integers(0, 150, (8, 8, 3)).astype("uint8")
            image[:, place : place + 4] += 60
            path = folder / "photos" / name / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tf.io.encode_png(image).numpy())


@pytest.mark.slow
def test_a_folder_of_images_to_a_verdict(photos):
    words = ["dropout", "--data", "photos/", "--seeds", "6"]
    result = call(*words, *ARMS, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["verdict"] is not None
    assert len(found["rows"]) == 12
    for row in found["rows"]:
        assert row["items"] == {"train": 30, "validation": 10, "test": 10}
        assert row["plain_fit"] is None
    assert np.mean([r["final"]["test_error"] for r in found["rows"]]) < 0.2


@pytest.mark.slow
def test_images_larger_than_memory_are_streamed(photos, monkeypatch):
    monkeypatch.setenv("REGIMEN_MEMORY_MB", "0.01")
    words = ["dropout", "--data", "photos/", "--seeds", "1"]
    result = call(*words, "--scale", "smoke", *ARMS, "--json")
    assert result.exit_code == 0, result.output
    for row in json.loads(result.stdout)["rows"]:
        assert "streamed from disk" in row["plain_fit"]
        assert len(row["curves"]["test_error"]) == 3


@pytest.mark.slow
def test_a_search_on_a_table(customers):
    words = ["tune", "early_stopping", "--data", "customers.csv:churned"]
    words += ["--arm", "patience", "--trials", "2", "--rerun", "1", "--json"]
    words += ["--scale", "smoke", "--workers", "0", "--out", "out"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert len(found["executions"]) == 2
    assert 0 <= found["best"]["patience"]["rerun"] < 1


@pytest.mark.slow
def test_workers_find_a_relative_path(photos):
    words = ["dropout", "--data", "photos", "--seeds", "1", "--scale", "smoke"]
    result = call(*words, *ARMS[:-1], "1")
    assert result.exit_code == 0, result.output
    assert "2 of 2 cells finished" in result.stdout


def refused(*arguments):
    start = time.monotonic()
    result = call(*arguments, *ARMS)
    assert time.monotonic() - start < 10
    assert result.exit_code == 2, result.output
    (sentence,) = result.stderr.strip().splitlines()
    return sentence


def test_a_set_that_cannot_be_downloaded_is_one_sentence(folder, monkeypatch):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # Bound, and nobody listens.
        closed = f"http://127.0.0.1:{held.getsockname()[1]}"
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, closed)
        sentence = refused("dropout", "--data", "mnist", "--data-dir", "there")
    assert sentence.startswith(
        f"regimen: mnist is not prepared in {folder / 'there'}, and cannot"
    )


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("customers.csv:income", "predicts classes, and this data has real"),
        ("customers.csv:wealth", "no column 'wealth'; it has id, age, income"),
        ("customers.csv", "Give customers.csv:COLUMN"),
        ("nothing.csv:y", "there is no file or folder"),
    ],
)
def test_data_that_cannot_serve_is_one_sentence(customers, word, sentence):
    assert sentence in refused("dropout", "--data", word)
