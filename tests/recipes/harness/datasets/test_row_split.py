import numpy as np
import pytest

from keras_regimen.recipes.harness.datasets.row_split import (
    add_label_noise,
    check_sizes,
    split_rows,
)

X, Y = np.arange(100)[:, None], np.arange(100) % 4


def test_each_row_is_in_exactly_one_part_with_its_target():
    parts = split_rows(X, Y, 3, train_size=50, validation_size=20)
    assert [len(x) for x, _ in parts] == [50, 20, 30]
    rows = np.concatenate([x[:, 0] for x, _ in parts])
    np.testing.assert_array_equal(np.sort(rows), np.arange(100))
    for x, y in parts:
        np.testing.assert_array_equal(x[:, 0] % 4, y)


def test_seed_decides_and_a_smaller_training_part_is_the_start_of_a_larger():
    large = split_rows(X, Y, 3, 50, 20)[0][0]
    np.testing.assert_array_equal(split_rows(X, Y, 3, 50, 20)[0][0], large)
    np.testing.assert_array_equal(split_rows(X, Y, 3, 30, 20)[0][0], large[:30])
    assert (split_rows(X, Y, 4, 50, 20)[0][0] != large).any()


def test_noise_spares_inputs_and_test_labels():
    clean = split_rows(X, Y, 0, 50, 20)
    noisy = add_label_noise(clean, 0, 0.4)
    wrong = [
        int((a != b).sum()) for (_, a), (_, b) in zip(clean, noisy, strict=True)
    ]
    assert wrong == [20, 8, 0]
    for (a, _), (b, _) in zip(clean, noisy, strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_and_validation_rows_have_a_noise_of_their_own():
    part = (X, np.zeros(100, int))
    train, validation, _ = add_label_noise([part, part, (X, Y)], 0, 0.4)
    # Of 40 wrong labels each, 16 are shared by chance: sigma is 3.1.
    shared = ((train[1] != 0) & (validation[1] != 0)).sum()
    assert abs(shared - 16) < 4 * 3.1


def test_noise_in_training_does_not_depend_on_the_validation_part():
    train = add_label_noise(split_rows(X, Y, 0, 50, 20), 0, 0.4)[0][1]
    other = add_label_noise(split_rows(X, Y, 0, 50, 40), 0, 0.4)[0][1]
    np.testing.assert_array_equal(train, other)


@pytest.mark.parametrize("sizes", [(80, 20), (100, 1)])
def test_sizes_without_test_rows_are_refused(sizes):
    with pytest.raises(
        ValueError, match=f"100 rows of x.*train_size={sizes[0]}"
    ):
        check_sizes("x", 100, *sizes)
