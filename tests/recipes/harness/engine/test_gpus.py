import pytest

from keras_regimen.recipes.harness.engine import gpus
from keras_regimen.recipes.harness.engine.probe import Probe


@pytest.mark.parametrize(
    ("workers", "names", "devices", "found"),
    [
        (None, "0 1", 1, ["0", "1"]),
        (5, "0 1", 1, ["0", "1", "0", "1", "0"]),
        (1, "0 1", 1, ["0"]),
        (None, "0 1 2 3", 2, ["0,1", "2,3"]),
        (None, "0 1 2", 2, ["0,1"]),  # One is left over.
        (None, "GPU-a GPU-b", 1, ["GPU-a", "GPU-b"]),
        (None, "", 1, [None] * 6),
        (None, "", 2, [None] * 3),
        (None, "", 9, [None]),
        (4, "", 1, [None] * 4),
    ],
)
def test_a_worker_gets_a_gpu_or_a_core_of_its_own(
    workers, names, devices, found
):
    assert gpus.places(workers, names.split(), devices, cores=6) == found


@pytest.mark.parametrize(
    ("seen", "asked", "names"),
    [
        (3, None, ["0", "1", "2"]),
        (2, "5, 3", ["5", "3"]),
        (1, "1,-1,2", ["1"]),  # CUDA stops at what is none.
        (1, "GPU-8d2", ["GPU-8d2"]),
        (0, "0", []),
    ],
)
def test_names_are_those_that_cuda_was_given(seen, asked, names):
    assert gpus.gpu_names(seen, asked) == names


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Returns a function: a driver's GPUs, and what a backend sees of them."""

    def has(driver, seen):
        for number in range(driver):
            (tmp_path / f"gpu{number}").mkdir()
        monkeypatch.setattr(gpus, "_DRIVER", tmp_path)
        asked = []

        def probe(modules, backend):
            asked.append(backend)
            return Probe(keras={"devices": ["a GPU"] * seen})

        monkeypatch.setattr(gpus, "probe", probe)
        return asked

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return has


def test_keras_says_how_many_of_the_drivers_gpus_it_sees(machine):
    asked = machine(driver=4, seen=2)
    assert gpus.gpu_is_there()
    assert gpus.gpus_of("jax") == ["0", "1"]
    assert asked == ["jax"]


def test_a_build_without_cuda_sees_none(machine):
    machine(driver=4, seen=0)
    assert gpus.gpus_of("tensorflow") == []


def test_without_a_driver_or_with_gpus_hidden_nobody_is_asked(
    machine, monkeypatch
):
    asked = machine(driver=0, seen=2)
    assert not gpus.gpu_is_there()
    assert gpus.gpus_of("tensorflow") == []
    machine(driver=1, seen=1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus.gpus_of("tensorflow") == []
    assert asked == []
