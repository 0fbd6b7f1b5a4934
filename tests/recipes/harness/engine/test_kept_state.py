"""Going on from a kept state equals training that was never interrupted."""

from dataclasses import replace

import numpy as np
import pytest

from keras_regimen.recipes.harness.engine import training
from keras_regimen.recipes.harness.engine.budget import Budget, state_file
from keras_regimen.recipes.harness.engine.cell import Cell


@pytest.fixture
def cell(fitted):
    """Dropout draws, and Adam has slots: what a careless resume forgets."""
    text = fitted.read_text().replace("optimizers.SGD(", "optimizers.Adam(")
    fitted.write_text(text)
    return Cell(
        "clouds", str(fitted), "deep", 3, "cpu", "", {"depth": 2, "rate": 0.5}
    )


def figures(row):
    assert row["status"] == "done", row.get("traceback")
    return row["curves"], row["final"], row["updates"], row["epochs"]


def test_a_promoted_trial_equals_one_that_trained_on_to_the_bit(cell, tmp_path):
    states = str(tmp_path / "states")
    short = replace(cell, budget=Budget(epochs=2, folder=states))
    long = Budget(epochs=5, folder=states, start=short.id)
    training.run_cell(short)
    assert state_file(tmp_path / "states", short.id).is_file()
    going_on = training.run_cell(replace(cell, budget=long))
    whole = training.run_cell(replace(cell, budget=Budget(epochs=5)))
    assert figures(going_on) == figures(whole)
    # It did go on, and did not begin anew.
    assert going_on["phases"] == [["fit 1", 2], ["fit 2", 3]]


@pytest.mark.parametrize("damage", ["missing", "torn", "foreign"])
def test_without_its_state_a_promoted_trial_begins_anew(cell, tmp_path, damage):
    states = tmp_path / "states"
    states.mkdir()
    if damage == "torn":
        state_file(states, "gone").write_bytes(b"PK\x03\x04 and no more")
    if damage == "foreign":
        other = np.zeros((7, 7), "float32")
        np.savez(state_file(states, "gone"), history="{}", model_0=other)
    long = Budget(epochs=4, folder=str(states), start="gone")
    going_on = training.run_cell(replace(cell, budget=long))
    whole = training.run_cell(replace(cell, budget=Budget(epochs=4)))
    assert figures(going_on) == figures(whole)


def test_nothing_is_kept_where_going_on_would_not_be_exact(cell, tmp_path):
    file = tmp_path / "clouds.py"
    text = file.read_text()
    assert "    epochs=4,\n" in text
    file.write_text(
        text.replace("    epochs=4,\n", "    epochs=4, steps_per_epoch=3,\n")
    )
    states = tmp_path / "states"
    budget = Budget(epochs=2, folder=str(states))
    assert training.run_cell(replace(cell, budget=budget))["epochs"] == 2
    assert not states.exists()
