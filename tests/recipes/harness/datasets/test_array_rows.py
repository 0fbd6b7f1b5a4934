import numpy as np
import pytest

from keras_regimen.recipes.harness.datasets.array_rows import (
    array_rows,
    larger_than_memory,
)
from keras_regimen.recipes.harness.datasets.row_parts import row_parts

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 3, 3, 1)).astype("uint8")
LABELS = np.arange(40, dtype="int32") % 2


def test_bytes_become_numbers_up_to_one():
    splits = array_rows(IMAGES, LABELS, 0, "digest")
    rows = row_parts(LABELS, 0)[2]
    np.testing.assert_array_equal(
        splits.test[0], IMAGES[rows].astype("float32") / 255
    )
    np.testing.assert_array_equal(splits.test[1], LABELS[rows])


def test_floats_stay_as_they_are_and_real_targets_are_scaled():
    x = RNG.normal(size=(40, 2)) * 7
    y = RNG.normal(50, 9, (40, 1)).astype("float32")
    splits = array_rows(x, y, 0, "digest")
    train, _, test = row_parts(y, 0)
    np.testing.assert_allclose(splits.test[0], x[test], rtol=1e-6)
    expected = (y[test] - y[train].mean()) / y[train].std()
    np.testing.assert_allclose(splits.test[1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("test_from", [None, 30])
def test_streamed_rows_are_the_same_rows(test_from):
    splits, streamed = (
        array_rows(IMAGES, LABELS, 5, "digest", test_from, streamed=streamed)
        for streamed in (False, True)
    )
    for part in ("train", "validation", "test"):
        rows = getattr(streamed, part)
        for found, held in zip(
            rows.batch(np.arange(len(rows))), getattr(splits, part), strict=True
        ):
            np.testing.assert_array_equal(found, held)


def test_memory_counts_inputs_as_float32(monkeypatch):
    monkeypatch.setenv("REGIMEN_MEMORY_MB", str(IMAGES.size * 4 / 1e6))
    assert not larger_than_memory(IMAGES)
    assert larger_than_memory(np.concatenate([IMAGES, IMAGES[:1]]))
