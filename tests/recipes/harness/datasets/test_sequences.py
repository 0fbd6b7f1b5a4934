import math

import numpy as np
import pytest

from keras_regimen.recipes.harness.datasets import adding_problem, copy_task


def parts(splits):
    return splits.train, splits.validation, splits.test


def test_adding_problem_asks_for_the_sum_of_one_marked_number_per_half():
    splits = adding_problem(7, train_size=50, test_size=60)(seed=0)
    assert [len(x) for x, _ in parts(splits)] == [50, 500, 60]
    for x, y in parts(splits):
        assert x.shape[1:] == (7, 2)
        for sequence, target in zip(x, y, strict=True):
            steps = np.flatnonzero(sequence[:, 1])
            assert len(steps) == 2
            assert steps[0] < 3 <= steps[1]
            assert sequence[steps, 1].tolist() == [1, 1]
            assert target == np.float32(sequence[steps[0], 0]) + np.float32(
                sequence[steps[1], 0]
            )


def test_adding_problem_baseline_has_an_error_of_one_sixth():
    x, y = adding_problem(6, train_size=20000)(seed=0).train
    # (y - 1)^2 has variance 1/15 - 1/36 = 0.0389: one sigma of the mean of
    # 20,000 is 0.0014.
    assert abs(np.mean((y - 1) ** 2) - 1 / 6) < 4 * 0.0014
    # Numbers are uniform: 120,000 of mean 1/2 and sigma 0.2887 / sqrt(120000).
    assert abs(x[:, :, 0].mean() - 0.5) < 4 * 0.00083
    assert x[:, :, 0].min() >= 0
    assert x[:, :, 0].max() < 1
    # Each step of a half is marked in a third of the sequences: one sigma of
    # the share is sqrt(2/9 / 20000) = 0.0033.
    assert np.abs(x[:, :, 1].mean(axis=0) - 1 / 3).max() < 4 * 0.0033


def test_copy_task_shows_symbols_blanks_delimiter_blanks():
    splits = copy_task(delay=4, length=3, num_symbols=5, train_size=30)(seed=0)
    assert splits.input_shape == (10, 7)
    assert splits.num_classes == 6
    for x, y in parts(splits):
        shown = x.argmax(axis=-1)
        np.testing.assert_array_equal(x.sum(axis=-1), 1)
        np.testing.assert_array_equal(np.unique(x), [0, 1])
        for seen, target in zip(shown.tolist(), y.tolist(), strict=True):
            assert max(seen[:3]) < 5
            # Blanks are 5, the delimiter is 6.
            assert seen[3:] == [5, 5, 5, 6, 5, 5, 5]
            assert target == [5] * 7 + seen[:3]


def test_copy_task_at_default_sizes_is_the_papers():
    splits = copy_task(delay=100)(seed=0)
    assert splits.input_shape == (120, 10)
    assert splits.num_classes == 9
    shown = splits.train[0].argmax(axis=-1)
    # T - 1 blanks, then the delimiter, then 10 blanks; counted from 0.
    assert np.unique(shown[:, 10:109]).tolist() == [8]
    assert np.unique(shown[:, 109]).tolist() == [9]
    assert np.unique(shown[:, 110:]).tolist() == [8]
    # 20,000 symbols, an eighth each: one sigma of a share is 0.0023.
    shares = np.bincount(shown[:, :10].ravel(), minlength=8) / 20000
    assert np.abs(shares - 1 / 8).max() < 4 * 0.0023
    # Uniform over the symbols at the end, certain before: the paper's
    # baseline, 10 log(8) / (T + 20).
    unsure = np.mean(splits.test[1] != 8)
    assert unsure * math.log(8) == pytest.approx(10 * math.log(8) / 120)


@pytest.mark.parametrize(
    "source", [adding_problem, copy_task], ids=lambda f: f.__name__
)
def test_parts_are_drawn_apart(source):
    splits = source(train_size=100, validation_size=100, test_size=100)(0)
    rows = [{row.tobytes() for row in x} for x, _ in parts(splits)]
    assert [len(part) for part in rows] == [100, 100, 100]
    assert len(set.union(*rows)) == 300
    # The size of one part shifts no other.
    other = source(train_size=50, validation_size=100, test_size=100)(0)
    np.testing.assert_array_equal(other.test[0], splits.test[0])


@pytest.mark.parametrize(
    ("source", "name", "value"),
    [
        (adding_problem, "length", 1),
        (copy_task, "delay", 0),
        (copy_task, "length", 2.5),
        (copy_task, "num_symbols", 1),
    ],
)
def test_bad_lengths_are_refused(source, name, value):
    with pytest.raises(ValueError, match=f"`{name}`.*{name}={value}"):
        source(**{name: value})
