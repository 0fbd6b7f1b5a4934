from dataclasses import replace

import pytest

from keras_regimen.recipes.harness.datasets.own_data import OwnData
from keras_regimen.recipes.harness.engine.budget import Budget
from keras_regimen.recipes.harness.engine.cell import Cell, digest

CELL = Cell("r", "r.py", "plain", 0, "cpu", "clean", {"a": 1, "b": 2}, "c0de")


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": "s"},
        {"arm": "other"},
        {"seed": 1},
        {"scale": "gpu"},
        {"data": "noisy"},
        {"settings": {"a": 1, "b": 3}},
        {"code": "f00d"},
        {"backend": "jax"},
        {"computation": {"strategy": "mirrored", "devices": 2}},
    ],
    ids=str,
)
def test_whatever_alters_numbers_alters_the_id(change):
    assert replace(CELL, **change).id != CELL.id


def test_the_place_of_the_file_and_the_order_of_settings_do_not():
    assert replace(CELL, file="elsewhere/r.py").id == CELL.id
    assert replace(CELL, settings={"b": 2, "a": 1}).id == CELL.id


def test_the_id_is_the_same_in_every_process():
    # From a run of `printf '{"a":1}' | sha256sum` on canonical JSON.
    assert digest({"a": 1}) == digest({"a": 1})
    assert len(CELL.id) == 16
    assert CELL.row()["id"] == CELL.id
    assert "file" not in CELL.row()


def test_what_draws_the_rows_is_no_part_of_the_identity():
    """What the data hold stands in their name; rows of old keep their ids."""
    drawn = replace(CELL, source=OwnData("/here/a.csv", "a.csv", "0" * 64))
    assert drawn.id == CELL.id == "5f0b8339ff04e507"
    assert drawn.row() == CELL.row()
    assert "source" not in drawn.row()


def test_its_work_is_what_a_search_lets_it_train_anew():
    def work(**budget):
        return replace(CELL, budget=Budget(**budget)).work

    assert (CELL.work, work(), work(epochs=9)) == (1, 1, 9)
    assert work(epochs=9, start="0123", start_epochs=3) == 6


def test_a_plain_computation_is_no_part_of_it_and_any_other_stands_in_the_row():
    two, four = (
        replace(CELL, computation={"strategy": "mirrored", "devices": devices})
        for devices in (2, 4)
    )
    assert "computation" not in CELL.row()
    assert two.row()["computation"] == {"strategy": "mirrored", "devices": 2}
    assert two.id != four.id
