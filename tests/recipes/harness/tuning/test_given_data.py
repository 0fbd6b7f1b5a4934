import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.splits import Splits
from keras_regimen.recipes.harness.refusal import RefusalError
from keras_regimen.recipes.harness.tuning.given_data import as_splits, on_disk

X = np.arange(20, dtype="float32").reshape(10, 2)
Y = np.arange(10) % 2


def test_the_last_fifth_validates():
    splits = as_splits((X, Y))
    np.testing.assert_array_equal(splits.train[0], X[:8])
    np.testing.assert_array_equal(splits.validation[0], X[8:])
    np.testing.assert_array_equal(splits.validation[1], Y[8:])


def test_a_validation_part_of_ones_own_stands():
    splits = as_splits(((X[:4], Y[:4]), (X[4:], Y[4:])))
    assert splits.counts == {"train": 4, "validation": 6, "test": 6}


def test_one_hot_targets_stay_columns():
    splits = as_splits((X, np.eye(2, dtype=int)[Y]))
    np.testing.assert_array_equal(splits.train[1], np.eye(2)[Y[:8]])
    assert splits.train[1].dtype == np.float32


def test_what_lies_on_the_disk_is_what_was_given(tmp_path):
    splits = as_splits((X, Y))
    loaded = on_disk(splits, tmp_path)(seed=7)
    assert loaded.fingerprint == splits.fingerprint
    assert as_splits(loaded) is loaded


@pytest.mark.parametrize("data", [X, (X, Y, Y), None, {"x": X}])
def test_what_is_no_data_is_refused(data):
    with pytest.raises(RefusalError, match="`data` must be"):
        as_splits(data)


def test_splits_are_taken_as_they_are():
    splits = Splits((X, Y), (X, Y), (X, Y))
    assert as_splits(splits) is splits
