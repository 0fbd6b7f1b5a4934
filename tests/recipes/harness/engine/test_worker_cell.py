import pytest

from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.engine.news import Listener, listening
from keras_regimen.recipes.harness.engine.training import run_cell
from keras_regimen.recipes.harness.engine.worker_cell import run_in_worker
from keras_regimen.recipes.harness.tuning.goal import goal_of


def test_its_news_are_of_its_row_which_is_that_of_a_silent_cell(fitted, client):
    cell = Cell("clouds", str(fitted), "flat", 3, "cpu", "", {"depth": 1})
    goal = goal_of(None, "val_loss")
    told = []
    with listening(client, Listener(goal.so_far, told.append)):
        row = client.submit(run_in_worker, cell, goal.so_far).result()
    start, *rest = told
    assert (start.cell, start.epoch) == (cell.id, 0)
    first = rest[0]
    assert (first.cell, first.epoch, first.epochs) == (cell.id, 1, 4)
    for news in rest:
        curve = row["curves"]["val_loss"][: news.epoch]
        assert news.score == pytest.approx(min(curve), rel=1e-6)
    silent = run_cell(cell)
    for name in ("id", "status", "curves", "final", "plain_fit", "jit"):
        assert row[name] == silent[name]
