import os

import pytest

from keras_regimen.recipes.harness.datasets.memory_share import memory_share
from keras_regimen.recipes.harness.refusal import RefusalError


def test_the_variable_is_in_megabytes(monkeypatch):
    monkeypatch.setenv("REGIMEN_MEMORY_MB", "1.5")
    assert memory_share() == 1_500_000


def test_the_default_leaves_the_machine_room_for_three_copies(monkeypatch):
    monkeypatch.delenv("REGIMEN_MEMORY_MB", raising=False)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # More than a thousandth of it, unless it has 250 cores.
    assert machine / 1000 < memory_share() <= machine / 4


@pytest.mark.parametrize("text", ["0", "-1", "much", "nan", "inf"])
def test_what_is_no_positive_number_is_refused(monkeypatch, text):
    monkeypatch.setenv("REGIMEN_MEMORY_MB", text)
    with pytest.raises(RefusalError, match=f"REGIMEN_MEMORY_MB='{text}'"):
        memory_share()
