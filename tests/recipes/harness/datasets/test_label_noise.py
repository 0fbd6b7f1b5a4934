import numpy as np
import pytest

from keras_regimen.recipes.harness.datasets.label_noise import flip_labels

LABELS = np.arange(4000) % 10


def flipped(rate, seed=0, labels=LABELS, num_classes=10):
    rng = np.random.default_rng(seed)
    return flip_labels(labels, rate, num_classes, rng)


@pytest.mark.parametrize(
    ("rows", "rate", "wrong"), [(10, 0.3, 3), (7, 0.5, 4), (3, 0.1, 0)]
)
def test_exactly_the_rounded_number_of_labels_is_wrong(rows, rate, wrong):
    for seed in range(5):
        noisy = flipped(rate, seed, LABELS[:rows])
        assert (noisy != LABELS[:rows]).sum() == wrong


def test_no_noise_changes_nothing_and_full_noise_everything():
    np.testing.assert_array_equal(flipped(0.0), LABELS)
    assert (flipped(1.0) != LABELS).all()


def test_given_labels_stay_as_they_are():
    labels = LABELS.copy()
    flipped(0.5, labels=labels)
    np.testing.assert_array_equal(labels, LABELS)


def test_wrong_labels_are_uniform_over_the_other_classes():
    noisy = flipped(1.0)
    assert noisy.min() == 0
    assert noisy.max() == 9
    for label in range(10):
        counts = np.bincount(noisy[label == LABELS], minlength=10)
        assert counts[label] == 0
        # 400 rows over 9 classes: 44.4 each, one sigma is 6.3.
        assert np.abs(np.delete(counts, label) - 400 / 9).max() < 4 * 6.3


def test_two_classes_are_exchanged():
    labels = LABELS % 2
    np.testing.assert_array_equal(
        flipped(1.0, labels=labels, num_classes=2), 1 - labels
    )


def test_more_noise_keeps_the_wrong_labels_of_less():
    less, more = flipped(0.1), flipped(0.3)
    wrong = less != LABELS
    np.testing.assert_array_equal(more[wrong], less[wrong])


def test_wrong_rows_are_spread_over_all_rows():
    where = np.flatnonzero(flipped(0.25) != LABELS)
    # The mean of 1000 of 4000 positions: one sigma is
    # 4000 / sqrt(12 * 1000) * sqrt(0.75) = 32.
    assert abs(where.mean() - 2000) < 4 * 32
