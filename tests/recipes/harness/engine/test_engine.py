import importlib
import os
import signal

import pytest

from keras_regimen.recipes.harness.engine import engine as engine_module
from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.engine.computation import Computation
from keras_regimen.recipes.harness.engine.engine import Engine
from keras_regimen.recipes.harness.engine.news import Listener
from keras_regimen.recipes.harness.refusal import RefusalError


def cells_of(file, faults, recipe="dice"):
    return [
        Cell(recipe, str(file), "loaded", seed, "cpu", "", {"fault": fault})
        for seed, fault in enumerate(faults)
    ]


def pid(*_):
    return os.getpid()


def test_zero_workers_run_in_the_process_itself(measured):
    with Engine(workers=0) as engine:
        assert engine.call(pid) == os.getpid()
        rows = list(engine.run(cells_of(measured, ["none", "raise"])))
    assert [row["status"] for row in rows] == ["done", "failed"]
    assert "ArithmeticError: the die fell off" in rows[1]["error"]
    assert "in measure" in rows[1]["traceback"]


def test_cells_are_taken_as_workers_are_free(measured):
    taken = []

    def ask():
        for cell in cells_of(measured, ["none"] * 4):
            taken.append(cell.seed)
            yield cell

    with Engine(workers=0) as engine:
        rows = engine.run(ask())
        assert next(rows)["seed"] == 0
        assert taken == [0]


def test_code_edited_while_it_runs_ends_the_run(measured):
    with Engine(workers=0) as engine:
        plan = engine.plan(measured)
        rows = engine.run(plan.cells)
        assert next(rows)["code"] == plan.code
        measured.write_text(measured.read_text() + "\nEDITED = True\n")
        with pytest.raises(RefusalError, match="dice was edited in the meant"):
            next(rows)


def test_a_strategy_of_another_backend_is_refused_before_anything_starts():
    with pytest.raises(RefusalError, match="mirrored needs --backend tensorf"):
        Engine(backend="jax", computation=Computation("mirrored"))


def test_on_a_cluster_the_devices_of_a_worker_must_be_said():
    mirrored = Computation("mirrored")
    with pytest.raises(RefusalError, match="`devices` says how many devices"):
        Engine(cluster="tcp://h:1", backend="tensorflow", computation=mirrored)


@pytest.mark.slow
def test_each_worker_has_a_gpu_of_its_own_and_so_has_its_successor(monkeypatch):
    """No GPU is needed: who sees which is a variable of its process."""
    monkeypatch.setattr(engine_module, "gpus_of", lambda backend: ["7", "9"])
    with Engine() as engine:
        assert engine.workers == 2

        def seen():
            return engine._client.run(os.getenv, "CUDA_VISIBLE_DEVICES")

        assert sorted(seen().values()) == ["7", "9"]
        worker, gpu = next(iter(seen().items()))
        engine._client.restart_workers([worker])
        assert worker not in seen()
        assert sorted(seen().values()) == ["7", "9"]
        assert gpu in seen().values()


@pytest.mark.slow
@pytest.mark.release
def test_a_plan_that_ends_its_workers_is_one_sentence():
    with (
        Engine(workers=1) as engine,
        pytest.raises(RefusalError, match="be made: it ended 4 worker proc"),
    ):
        engine.call(os._exit, 1)


@pytest.mark.slow
def test_workers_give_the_rows_of_one_process(measured):
    faults = ["none", "raise", "none", "nan", "none"]
    with Engine(workers=0) as engine:
        alone = list(engine.run(cells_of(measured, faults)))
    news = []
    with Engine(workers=2) as engine:
        assert engine.call(pid) != os.getpid()
        cells = cells_of(measured, faults)
        spread = list(engine.run(cells, Listener(len, news.append)))
    assert {told.cell for told in news} == {cell.id for cell in cells}

    def essence(rows):
        rows = sorted(rows, key=lambda row: row["seed"])
        return [
            (r["id"], r["status"], str(r.get("values")), r.get("error"))
            for r in rows
        ]

    assert essence(spread) == essence(alone)


@pytest.mark.slow
def test_a_cell_that_crashes_its_process_is_a_row_and_stops_no_other(measured):
    with Engine(workers=2) as engine:
        cells = cells_of(measured, ["none", "crash", "none", "none"])
        rows = {row["seed"]: row for row in engine.run(cells)}
    assert rows[1]["status"] == "failed"
    assert "ended 4 worker processes" in rows[1]["error"]
    assert [rows[s]["status"] for s in (0, 2, 3)] == ["done"] * 3


@pytest.mark.slow
def test_a_worker_is_set_up_before_it_imports_what_is_called(
    tmp_path, monkeypatch
):
    """Else it would take the floats of a user's own Keras, say."""
    (tmp_path / "theirs.py").write_text(
        "import keras\nfound = keras.config.floatx()\n\n\n"
        "def floatx():\n    return found\n"
    )
    (tmp_path / "keras.json").write_text('{"floatx": "float16"}')
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    theirs = importlib.import_module("theirs")
    with Engine(workers=1) as engine:
        # The next one imports nothing before its first call.
        os.kill(engine.call(pid), signal.SIGKILL)
        assert engine.call(theirs.floatx) == "float32"
