import os
import time
from pathlib import Path

import numpy as np
import pytest

from keras_regimen.recipes.harness.engine.cost import Cost

MEGABYTE = 1024**2


def compute(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_computing_costs_cpu_seconds():
    cost = Cost()
    compute(0.1)
    figures = cost.figures()
    # Another thread of the process may add a little.
    assert 0.1 <= figures["cpu_seconds"] < 0.15
    # The clocks are read one after the other.
    assert figures["wall_seconds"] > 0.095


def test_waiting_costs_wall_seconds_alone():
    cost = Cost()
    time.sleep(0.1)
    figures = cost.figures()
    assert figures["cpu_seconds"] < 0.02
    assert figures["wall_seconds"] >= 0.1


def test_each_cost_counts_from_its_own_making():
    first = Cost()
    compute(0.05)
    second = Cost()
    compute(0.02)
    spent = [cost.figures()["cpu_seconds"] for cost in (first, second)]
    assert spent[0] - spent[1] == pytest.approx(0.05, abs=0.02)


def allocate(megabytes):
    np.ones(megabytes * MEGABYTE, "uint8")


def test_memory_is_the_peak_and_not_what_is_left():
    before = Cost().figures()["peak_memory_mb"]
    cost = Cost()
    allocate(128)
    peak = cost.figures()["peak_memory_mb"]
    assert peak - before == pytest.approx(128, abs=16)


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK),
    reason="only Linux forgets a peak",
)
def test_the_peak_of_an_earlier_cell_is_forgotten():
    allocate(128)
    peak = Cost().figures()["peak_memory_mb"]
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE
    assert peak == pytest.approx(resident, abs=16)
