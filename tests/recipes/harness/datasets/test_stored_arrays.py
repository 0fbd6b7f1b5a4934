import numpy as np
import pytest

from keras_regimen.recipes.harness.datasets.stored_arrays import stored_arrays
from keras_regimen.recipes.harness.refusal import RefusalError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REGIMEN_CACHE", str(tmp_path))
    return tmp_path / "arrays"


def write(folder):
    np.save(folder / "x.npy", np.arange(6).reshape(3, 2))
    np.save(folder / "y.npy", np.arange(3))


def test_they_are_made_once_and_mapped(cache):
    x, y = stored_arrays("abc", write)
    assert isinstance(x, np.memmap)
    np.testing.assert_array_equal(x, [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(y, [0, 1, 2])

    def never(folder):
        raise AssertionError

    assert stored_arrays("abc", never)[0].shape == (3, 2)
    with pytest.raises(AssertionError):
        stored_arrays("other", never)


def test_a_failure_leaves_nothing_behind(cache):
    def broken(folder):
        np.save(folder / "x.npy", np.zeros(3))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stored_arrays("abc", broken)
    assert list(cache.iterdir()) == []


def test_of_two_processes_the_first_to_finish_wins(cache):
    def overtaken(folder):
        stored_arrays("abc", write)  # Another one finishes meanwhile.
        np.save(folder / "x.npy", np.zeros(1))
        np.save(folder / "y.npy", np.zeros(1))

    assert stored_arrays("abc", overtaken)[0].shape == (3, 2)
    assert len(list(cache.iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("REGIMEN_CACHE", str(tmp_path / "file"))
    with pytest.raises(RefusalError, match="set REGIMEN_CACHE to a folder"):
        stored_arrays("abc", write)
