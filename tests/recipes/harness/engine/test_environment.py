import platform
from importlib.metadata import version

import keras
import pytest

from keras_regimen.recipes.harness.engine.environment import environment


def test_versions_are_those_of_the_installed_distributions():
    backend = keras.backend.backend()
    assert environment()["versions"] == {
        "python": platform.python_version(),
        "keras": version("keras"),
        backend: version(backend),
        "numpy": version("numpy"),
        "keras-regimen": version("keras-regimen"),
    }


def test_the_keras_of_the_row_is_the_one_that_computes():
    assert environment()["versions"]["keras"] == keras.__version__


@pytest.mark.parametrize(
    ("given", "threads"), [("1", 1), ("3", 3), ("", 5), (None, 5)]
)
def test_threads_are_those_given_or_one_for_each_core(
    monkeypatch, given, threads
):
    monkeypatch.setattr("os.cpu_count", lambda: 5)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert environment()["threads"] == threads


def test_without_a_gpu_the_device_is_the_cpu():
    tensorflow = pytest.importorskip("tensorflow")
    if tensorflow.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    assert environment()["device"] == "cpu"
