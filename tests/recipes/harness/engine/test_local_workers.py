import contextlib
import os
import signal
import sys

import distributed
import pytest

from keras_regimen.recipes.harness.engine import local_workers as module
from keras_regimen.recipes.harness.engine.local_workers import local_workers
from keras_regimen.recipes.harness.refusal import RefusalError


@pytest.mark.parametrize("failures", [2, 3])
def test_workers_that_do_not_come_up_are_started_three_times(
    failures, monkeypatch
):
    starts = []

    def cluster(n_workers, **_):
        starts.append(n_workers)
        if len(starts) <= failures:
            raise RuntimeError("one was killed")
        return "a cluster"

    monkeypatch.setattr(distributed, "LocalCluster", cluster)
    if failures == 2:
        assert module._local_cluster(4) == "a cluster"
    else:
        with pytest.raises(RefusalError, match="one was killed.*--workers"):
            module._local_cluster(4)
    assert starts == [4, 4, 4]


def test_the_main_script_is_hidden_from_new_processes_and_comes_back():
    main = sys.modules["__main__"]
    before = dict(vars(main))
    with module._main_not_imported():
        assert not hasattr(main, "__file__")
        assert main.__spec__ is None
    assert vars(main) == before


@pytest.mark.release
def test_a_worker_that_dies_while_it_starts_is_replaced():
    """Dask gives it up: with one worker a run would wait for ever."""
    psutil = pytest.importorskip("psutil")
    with local_workers([None], "tensorflow") as client:
        first = client.submit(os.getpid, pure=False).result()
        os.kill(first, signal.SIGKILL)
        child = None
        while child is None:
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):  # It has ended.
                    started = "spawn_main" in " ".join(process.cmdline())
                    if started and process.pid != first:
                        child = process
        child.kill()
        last = client.submit(os.getpid, pure=False).result(timeout=60)
    assert last not in (first, child.pid)
