import numpy as np
import pytest
from sklearn import datasets as theirs
from sklearn.preprocessing import StandardScaler

from keras_regimen.recipes.harness.datasets import (
    breast_cancer,
    diabetes,
    tables,
    wine,
)
from keras_regimen.recipes.harness.datasets.random_stream import random_stream

LOADERS = {
    breast_cancer: theirs.load_breast_cancer,
    wine: theirs.load_wine,
    diabetes: lambda: theirs.load_diabetes(scaled=False),
}
EVERY = pytest.mark.parametrize("source", LOADERS, ids=lambda f: f.__name__)


def parts(splits):
    return splits.train, splits.validation, splits.test


@EVERY
def test_rows_are_scikit_learns_scaled_by_its_scaler_on_training_rows(source):
    bunch, splits = LOADERS[source](), source()(seed=2)
    sizes = [len(x) for x, _ in parts(splits)]
    assert sum(sizes) == len(bunch.data)
    order = random_stream(2, "split").permutation(len(bunch.data))
    rows = np.split(order, np.cumsum(sizes)[:2])
    scaler = StandardScaler().fit(bunch.data[rows[0]])
    for (x, y), where in zip(parts(splits), rows, strict=True):
        np.testing.assert_allclose(
            x, scaler.transform(bunch.data[where]), rtol=1e-5, atol=1e-5
        )
        if source is not diabetes:
            np.testing.assert_array_equal(y, bunch.target[where])


def test_diabetes_target_is_standardized_by_training_rows():
    splits, target = diabetes()(seed=2), theirs.load_diabetes().target
    order = random_stream(2, "split").permutation(442)
    mean, std = target[order[:250]].mean(), target[order[:250]].std()
    y = np.concatenate([y for _, y in parts(splits)])
    assert splits.target == "real"
    assert y.shape == (442, 1)
    np.testing.assert_allclose(y[:, 0], (target[order] - mean) / std, rtol=1e-4)


@EVERY
@pytest.mark.parametrize("position", [-1, "validation"])
def test_outlier_outside_the_training_rows_shifts_nothing_else(
    monkeypatch, source, position
):
    clean = source()(seed=0)
    sizes = [len(x) for x, _ in parts(clean)]
    x, y = tables._table(source.__name__)
    order = random_stream(0, "split").permutation(len(x))
    planted, y = x.copy(), y.copy()
    row = -1 if position == -1 else sizes[0]
    planted[order[row]] = 1e9
    if source is diabetes:
        y[order[row]] = 1e9
    monkeypatch.setattr(tables, "_table", lambda name: (planted, y))
    changed = source()(seed=0)
    for array, other in zip(clean.train, changed.train, strict=True):
        np.testing.assert_array_equal(array, other)
    all_x = [np.concatenate([x for x, _ in parts(s)]) for s in (clean, changed)]
    differ = np.flatnonzero((all_x[0] != all_x[1]).any(axis=1))
    assert differ.tolist() == [row % len(x)]


def test_feature_that_is_constant_in_training_stays_finite(monkeypatch):
    x = np.random.default_rng(0).normal(size=(569, 2))
    x[:, 1] = 7
    order = random_stream(0, "split").permutation(569)
    x[order[-1], 1] = 8
    y = np.arange(569) % 2
    monkeypatch.setattr(tables, "_table", lambda name: (x, y))
    splits = breast_cancer()(seed=0)
    assert np.unique(splits.train[0][:, 1]).tolist() == [0]
    assert splits.test[0][-1, 1] == 1


@pytest.mark.parametrize("source", [breast_cancer, wine])
def test_label_noise_keeps_the_split_and_the_test_labels(source):
    clean, noisy = source()(seed=5), source(label_noise=0.2)(seed=5)
    for index, (given, got) in enumerate(
        zip(parts(clean), parts(noisy), strict=True)
    ):
        np.testing.assert_array_equal(given[0], got[0])
        expected = 0 if index == 2 else round(0.2 * len(given[1]))
        assert (given[1] != got[1]).sum() == expected


@pytest.mark.parametrize("rate", [0.1, 1, float("nan")])
def test_label_noise_on_numbers_is_refused(rate):
    with pytest.raises(ValueError, match=f"number.*label_noise={rate}"):
        diabetes(label_noise=rate)


@EVERY
def test_sizes_that_leave_no_test_row_are_refused(source):
    rows = len(LOADERS[source]().data)
    with pytest.raises(ValueError, match=f"{rows} rows of {source.__name__}"):
        source(train_size=rows - 10, validation_size=10)
    assert len(source(rows - 11, 10)(0).test[0]) == 1
