import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_regimen.recipes.harness.datasets import digits


def sorted_rows(x, y):
    rows = np.column_stack([x.reshape(len(x), -1), y])
    return rows[np.lexsort(rows.T)]


def test_the_three_parts_are_scikit_learns_rows_each_once():
    splits = digits()(seed=1)
    assert splits.input_shape == (8, 8, 1)
    assert (splits.target, splits.num_classes) == ("classes", 10)
    parts = (splits.train, splits.validation, splits.test)
    assert [len(x) for x, _ in parts] == [1000, 200, 597]
    x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    theirs = load_digits()
    np.testing.assert_array_equal(
        sorted_rows(x, y), sorted_rows(theirs.images / 16, theirs.target)
    )
    assert x.min() == 0
    assert x.max() == 1


def test_no_test_row_is_a_training_or_validation_row():
    splits = digits()(seed=2)
    rows = [
        {image.tobytes() for image in x}
        for x, _ in (splits.train, splits.validation, splits.test)
    ]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]


def test_label_noise_keeps_the_split_and_the_test_labels():
    clean, noisy = digits()(seed=5), digits(label_noise=0.3)(seed=5)
    for part, wrong in (("train", 300), ("validation", 60), ("test", 0)):
        (x, y), (noisy_x, noisy_y) = getattr(clean, part), getattr(noisy, part)
        np.testing.assert_array_equal(x, noisy_x)
        assert (y != noisy_y).sum() == wrong
        assert noisy_y.max() == 9


@pytest.mark.parametrize("sizes", [(1597, 200), (1000, 800), (2000, 200)])
def test_sizes_that_leave_no_test_row_are_refused(sizes):
    with pytest.raises(ValueError, match=f"1797 rows.*train_size={sizes[0]}"):
        digits(*sizes)
    assert len(digits(1596, 200)(0).test[0]) == 1


def test_another_cache_is_read_anew(monkeypatch, tmp_path):
    digits()(0)
    (tmp_path / "tensorflow_datasets").write_text("in the way")
    monkeypatch.setenv("REGIMEN_CACHE", str(tmp_path))
    with pytest.raises(OSError, match="REGIMEN_CACHE"):
        digits()(0)


def test_declaring_data_imports_no_framework():
    code = (
        "import sys\n"
        "from keras_regimen.recipes.harness import Splits, datasets\n"
        "for name in datasets.__all__: getattr(datasets, name)\n"
        "datasets.digits(label_noise=0.3).name\n"
        "heavy = {'keras', 'tensorflow', 'tensorflow_datasets', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"
