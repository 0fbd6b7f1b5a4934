import math

import numpy as np
import pytest

from keras_regimen.recipes.harness.datasets import two_moons, two_spirals


def parts(splits):
    return splits.train, splits.validation, splits.test


def test_moons_without_noise_are_two_half_circles():
    splits = two_moons(noise=0.0)(seed=0)
    assert [len(x) for x, _ in parts(splits)] == [200, 100, 1000]
    for points, y in parts(splits):
        upper, lower = points[y == 0], points[y == 1]
        np.testing.assert_allclose(np.hypot(*upper.T), 1, rtol=1e-6)
        assert upper[:, 1].min() > -1e-6
        np.testing.assert_allclose(
            np.hypot(1 - lower[:, 0], 0.5 - lower[:, 1]), 1, rtol=1e-6
        )
        assert lower[:, 1].max() < 0.5 + 1e-6
    rows = np.concatenate([x for x, _ in parts(splits)])
    assert len(np.unique(rows, axis=0)) == 1300


def test_moons_noise_is_the_spread_around_the_circles():
    points, y = two_moons(train_size=4000, noise=0.05)(seed=0).train
    upper = points[y == 0]
    # About 2,000 radii of sigma 0.05: one sigma of their spread is 0.0008.
    spread = np.hypot(*upper.T).std()
    assert abs(spread - 0.05) < 4 * 0.0008


def test_moons_label_noise_keeps_points_and_test_labels():
    clean, noisy = two_moons()(seed=1), two_moons(label_noise=0.25)(seed=1)
    wrong = []
    for (x, y), (noisy_x, noisy_y) in zip(
        parts(clean), parts(noisy), strict=True
    ):
        np.testing.assert_array_equal(x, noisy_x)
        wrong.append(int((y != noisy_y).sum()))
    assert wrong == [50, 25, 0]


@pytest.mark.parametrize("noise", [-0.1, float("inf"), float("nan")])
def test_moons_refuse_bad_noise(noise):
    with pytest.raises(ValueError, match=f"`noise`.*noise={noise}"):
        two_moons(noise=noise)


@pytest.mark.parametrize("density", [1, 3])
def test_spirals_train_on_the_points_of_the_benchmark(density):
    expected = []
    # The generator that comes with the benchmark, line by line.
    for i in range(96 * density + 1):
        angle = i * math.pi / (16 * density)
        radius = 6.5 * (104 * density - i) / (104 * density)
        x, y = radius * math.sin(angle), radius * math.cos(angle)
        expected += [(x, y, 1), (-x, -y, 0)]
    points, labels = two_spirals(density)(seed=4).train
    np.testing.assert_allclose(
        np.column_stack([points, labels]), expected, atol=1e-6
    )


def test_spirals_begin_and_end_where_the_benchmark_does():
    points, labels = two_spirals()(seed=0).train
    assert len(points) == 194
    np.testing.assert_allclose(points[0], [0, 6.5], atol=1e-5)
    np.testing.assert_allclose(points[2], [1.25589, 6.31381], atol=1e-5)
    np.testing.assert_allclose(points[-2], [0, 0.5], atol=1e-5)
    assert labels[[0, 1]].tolist() == [1, 0]


def test_spirals_draw_held_out_points_on_the_same_curves():
    first, second = two_spirals()(seed=0), two_spirals()(seed=1)
    np.testing.assert_array_equal(first.train[0], second.train[0])
    fine, of = two_spirals(density=20)(seed=0).train
    for (x, y), (other, _) in zip(
        parts(first)[1:], parts(second)[1:], strict=True
    ):
        assert (x != other).any()
        distance = np.linalg.norm(x[:, None] - fine[None], axis=-1)
        # Neighbours of the fine grid are at most 6.5 * pi / 320 apart.
        assert distance.min(axis=1).max() < 6.5 * np.pi / 320
        np.testing.assert_array_equal(of[distance.argmin(axis=1)], y)
        # A fair coin: one sigma of 200 is 0.035.
        assert abs(y.mean() - 0.5) < 4 * 0.035


def test_spirals_hold_out_other_points_than_they_train_on():
    splits = two_spirals()(seed=0)
    rows = [{row.tobytes() for row in x} for x, _ in parts(splits)]
    assert len(set.union(*rows)) == sum(map(len, rows)) == 1394
