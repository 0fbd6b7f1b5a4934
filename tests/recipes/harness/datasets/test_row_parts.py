import numpy as np
import pytest

from keras_regimen.recipes.harness.datasets.row_parts import row_parts
from keras_regimen.recipes.harness.refusal import RefusalError


def labels(*counts):
    return np.repeat(np.arange(len(counts), dtype="int32"), counts)


def test_each_row_is_in_one_part():
    parts = row_parts(labels(31, 12, 7), seed=3)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(50))


def test_each_class_is_cut_in_the_same_shares():
    y = labels(100, 20, 5)
    counts = [np.bincount(y[rows]).tolist() for rows in row_parts(y, seed=0)]
    assert counts == [[60, 12, 3], [20, 4, 1], [20, 4, 1]]


def test_a_rare_class_is_trained_on_first():
    y = labels(20, 1, 2)
    train, validation, _ = row_parts(y, seed=0)
    assert np.bincount(y[train]).tolist() == [12, 1, 1]
    assert np.bincount(y[validation], minlength=3).tolist() == [4, 0, 1]


def test_a_seed_has_its_own_rows_and_always_the_same():
    y = np.linspace(0, 1, 40, dtype="float32")[:, None]
    one, two = row_parts(y, seed=1), row_parts(y, seed=2)
    for first, again in zip(one, row_parts(y, seed=1), strict=True):
        np.testing.assert_array_equal(first, again)
    assert not np.array_equal(one[2], two[2])
    # Shuffled: neither sorted nor the first rows of the file.
    assert not np.array_equal(np.sort(one[0]), one[0])
    assert [len(rows) for rows in one] == [24, 8, 8]


def test_a_test_split_of_its_own_stays_the_test_split():
    for seed in (0, 1):
        train, validation, test = row_parts(labels(50, 60), seed, test_from=90)
        np.testing.assert_array_equal(test, np.arange(90, 110))
        assert (len(train), len(validation)) == (72, 18)


@pytest.mark.parametrize("y", [labels(9), labels(*[2] * 10)])
def test_too_few_rows_are_a_sentence(y):
    with pytest.raises(RefusalError, match=f"{len(y)} rows with a target, too"):
        row_parts(y, seed=0)
