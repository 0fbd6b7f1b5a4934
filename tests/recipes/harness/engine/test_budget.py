from dataclasses import replace

from keras_regimen.recipes.harness.engine.budget import Budget
from keras_regimen.recipes.harness.engine.cell import Cell

PLAIN = Cell("tiny", "tiny.py", "deep", 0, "cpu", "", {"rate": 0.5})


def test_what_alters_numbers_is_part_of_a_cells_identity():
    longer = replace(PLAIN, budget=Budget(epochs=9))
    judged = replace(
        PLAIN, budget=Budget(watched="val_loss", medians=(0.5, 0.4))
    )
    assert len({PLAIN.id, longer.id, judged.id}) == 3
    assert longer.row()["allowance"] == {"epochs": 9}
    assert judged.row()["allowance"] == {
        "watched": "val_loss",
        "better": "min",
        "medians": [0.5, 0.4],
    }


def test_where_a_run_goes_on_from_is_not():
    bare = replace(PLAIN, budget=Budget(epochs=9))
    going_on = Budget(9, folder="/somewhere", start="0123", start_epochs=3)
    assert replace(PLAIN, budget=going_on).id == bare.id
    # So rows that are older than budgets keep their ids.
    assert replace(PLAIN, budget=Budget(watched="val_loss")).id == PLAIN.id
    assert "allowance" not in PLAIN.row()
