import sys

import keras
import pytest

from keras_regimen.recipes.harness.engine.probe import probe


@pytest.fixture
def importable(tmp_path, monkeypatch):
    """Returns a function that writes a module that a new process finds."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)

    return write


@pytest.mark.slow
def test_keras_says_what_it_computes_with():
    backend = keras.backend.backend()
    found = probe(["json"], backend)
    assert found.failed == {}
    assert found.keras["backend"] == backend
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        assert len(found.keras["devices"]) == len(gpus)


def test_a_module_that_raises_stops_no_other(importable):
    importable("keras", "raise ImportError('the library is cut in half')")
    importable("noisy", "print('{\"trying\": 3'); print('[1]')")
    found = probe(["noisy", "no_such_module", "json"], "tensorflow")
    assert found.failed == {
        "no_such_module": "ModuleNotFoundError: No module named "
        "'no_such_module'",
        "keras": "ImportError: the library is cut in half",
    }
    assert found.keras == {}


def test_a_crash_is_the_fault_of_what_was_being_imported(importable):
    importable("crashing", "import os; os.kill(os.getpid(), 11)")
    found = probe(["json", "crashing", "keras"], "tensorflow")
    assert found.failed == {"crashing": "it crashed with signal 11"}


def test_a_process_that_leaves_early_is_told_with_its_last_line(importable):
    importable("leaving", "import sys; sys.exit('no licence')")
    found = probe(["leaving"], "tensorflow")
    assert found.failed == {"leaving": "no licence"}


def test_an_import_that_never_ends_is_given_up(importable, monkeypatch):
    module = sys.modules[probe.__module__]
    monkeypatch.setattr(module, "_SECONDS", 1)
    importable("endless", "import time; time.sleep(60)")
    found = probe(["endless"], "tensorflow")
    assert found.failed == {"endless": "it took more than 1 seconds"}
