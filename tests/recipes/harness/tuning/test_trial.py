import math

from keras_regimen.recipes.harness.engine.budget import Budget
from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.tuning.trial import Trial


def trial(**budget):
    cells = tuple(
        Cell("tiny", "", "only", seed, "cpu", "", budget=Budget(**budget))
        for seed in (1, 2)
    )
    return Trial("0", {"rate": 0.5}, cells)


def test_a_score_waits_for_all_runs():
    mine = trial()
    first, second = mine.cells
    mine.scores[first.id] = 0.25
    assert math.isnan(mine.score)
    mine.scores[second.id] = 0.75
    assert mine.score == 0.5


def test_a_record_has_epochs_where_they_were_set():
    for budget, epochs in (({}, 0), ({"epochs": 3}, 3)):
        mine = trial(**budget)
        assert mine.epochs == epochs
        mine.scores[mine.cells[0].id] = 0.25
        unscored = mine.to_json("only", mine.cells[1], "running")
        assert math.isnan(unscored["score"])
        record = mine.to_json("only", mine.cells[0], "done")
        assert record["score"] == 0.25
        assert record.get("epochs", 0) == epochs
