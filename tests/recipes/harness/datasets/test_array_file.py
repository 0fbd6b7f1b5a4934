import numpy as np
import pytest

from keras_regimen.recipes.harness.datasets.array_file import open_arrays
from keras_regimen.recipes.harness.datasets.row_parts import row_parts
from keras_regimen.recipes.harness.refusal import RefusalError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.setenv("REGIMEN_CACHE", str(tmp_path / "cache"))

    def save(**arrays):
        path = tmp_path / "a.npz"
        np.savez_compressed(path, **arrays)
        return path

    return save


def test_its_rows_are_those_of_the_arrays(saved):
    y = np.array([3, 7] * 20)
    source = open_arrays(saved(x=X, y=y))
    splits = source(2)
    labels = (y == 7).astype("int32")
    rows = row_parts(labels, 2)[1]
    np.testing.assert_allclose(splits.validation[0], X[rows], rtol=1e-6)
    np.testing.assert_array_equal(splits.validation[1], labels[rows])
    assert (
        source.sentence == "a.npz: 40 rows of shape (3,), target 'y': 2 classes"
    )


@pytest.mark.parametrize(
    ("y", "target", "num_classes"),
    [
        (np.array(["a", "b", "c", "a"] * 10), "classes", 3),
        (np.arange(40) % 2 == 0, "classes", 2),
        (np.arange(40), "real", None),
        (RNG.normal(size=(40, 2)), "real", None),
        (np.tile([0, 1, 2, 2], (40, 1)), "classes", 3),
    ],
)
def test_the_target_is_recognized(saved, y, target, num_classes):
    x = RNG.normal(size=(40, 4, 2)) if y.shape == (40, 4) else X
    splits = open_arrays(saved(x=x, y=y))(0)
    assert (splits.target, splits.num_classes) == (target, num_classes)


def test_bytes_of_rank_3_are_gray_images(saved):
    x = RNG.integers(0, 256, (40, 4, 5)).astype("uint8")
    splits = open_arrays(saved(x=x, y=np.arange(40) % 2))(0)
    assert splits.input_shape == (4, 5, 1)
    assert splits.train[0].max() <= 1


def test_larger_than_memory_it_is_unpacked_and_streamed(saved, monkeypatch):
    path = saved(x=X, y=np.arange(40) % 2)
    held = open_arrays(path)(0)
    monkeypatch.setenv("REGIMEN_MEMORY_MB", "0.0001")
    streamed = open_arrays(path)(0)
    assert isinstance(streamed.train.x, np.memmap)
    found, _ = streamed.train.batch(np.arange(24))
    np.testing.assert_array_equal(found, held.train[0])


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (
            {"x_train": X, "y": X},
            "hold the arrays x and y. Received: x_train, y",
        ),
        ({"x": X, "y": np.arange(39)}, "40 inputs and 39 targets"),
        ({"x": X[:, 0], "y": np.arange(40)}, r"float64 of shape \(40,\)"),
        ({"x": np.where(X > 1, np.nan, X), "y": np.arange(40)}, "holds NaN"),
        ({"x": X, "y": np.where(X > 1, np.nan, X)}, "y in a.npz holds NaN"),
    ],
)
def test_what_it_cannot_use_is_a_sentence(saved, arrays, sentence):
    with pytest.raises(RefusalError, match=sentence):
        open_arrays(saved(**arrays))


def test_pickled_objects_are_never_loaded(saved):
    y = np.array([{"a": 1}] * 40, dtype=object)
    with pytest.raises(RefusalError, match="no .npz file of arrays of numbers"):
        open_arrays(saved(x=X, y=y))


def test_another_file_is_a_sentence(tmp_path):
    path = tmp_path / "a.npz"
    path.write_text("hello")
    with pytest.raises(RefusalError, match="no .npz file of arrays of numbers"):
        open_arrays(path)
