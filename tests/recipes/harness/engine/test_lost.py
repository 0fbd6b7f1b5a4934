from concurrent.futures import CancelledError

import pytest
from distributed import KilledWorker

from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.engine.lost import row_of_lost, why_lost
from keras_regimen.recipes.harness.refusal import RefusalError

CELL = Cell("dice", "dice.py", "loaded", 0, "cpu", "")
KILLED = KilledWorker("task", None, allowed_failures=3)


@pytest.mark.parametrize("cluster", [None, "tcp://h:1"])
def test_a_cell_that_ends_its_workers_is_a_failed_row(cluster):
    row = row_of_lost(CELL, KILLED, cluster)
    assert (row["id"], row["status"]) == (CELL.id, "failed")
    assert row["error"].startswith("it ended 4 worker processes")


def test_a_refusal_is_for_the_user_and_no_row():
    refusal = RefusalError("no data")
    with pytest.raises(RefusalError) as caught:
        row_of_lost(CELL, refusal, None)
    assert caught.value is refusal


def test_what_else_a_cluster_loses_is_not_the_cells_fault():
    with pytest.raises(RefusalError, match="h:1.*scheduler is lost.*goes on"):
        row_of_lost(CELL, CancelledError(), "tcp://h:1")
    row = row_of_lost(CELL, OSError("disk"), None)
    assert row["error"] == "OSError: disk"
    assert why_lost(OSError("disk")) is None
