from collections import Counter

import numpy as np
import pytest

from keras_regimen.recipes.harness.datasets.image_rows import (
    common_size,
    write_images,
)


@pytest.fixture
def written(tmp_path):
    def write(*images):
        path = tmp_path / "x.npy"
        write_images(path, lambda: iter(images), len(images))
        return np.load(path)

    return write


def noise(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, shape).astype("uint8")


def test_images_of_one_size_are_kept_to_the_bit(written):
    images = [noise(5, 4, 3, seed=seed) for seed in range(3)]
    found = written(*images)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, images)


def test_gray_ones_have_one_channel_in_whatever_form_they_come(written):
    gray = noise(5, 4, 1)
    opaque = np.full((5, 4, 1), 255, "uint8")
    forms = [
        gray,
        np.repeat(gray, 3, axis=-1),
        np.concatenate([gray, opaque], axis=-1),
        np.concatenate([gray, gray, gray, opaque], axis=-1),
    ]
    np.testing.assert_array_equal(written(*forms), [gray] * 4)


def test_one_in_color_makes_them_all_have_three_channels(written):
    gray, color = noise(5, 4, 1), noise(5, 4, 4)
    found = written(gray, color)
    np.testing.assert_array_equal(found[0], np.repeat(gray, 3, axis=-1))
    np.testing.assert_array_equal(found[1], color[..., :3])


def test_others_get_the_most_common_size(written):
    small, large = noise(2, 2, 1), np.full((4, 4, 1), 90, "uint8")
    large[:2, :2] = 30
    found = written(small, noise(2, 2, 1, seed=1), large)
    assert found.shape == (3, 2, 2, 1)
    # By hand: a triangle over four pixels weighs (3, 3, 1) / 7 at an edge, so
    # the dark half has 6 / 7 of the first pixel and 1 / 7 of the other.
    dark = np.outer([6 / 7, 1 / 7], [6 / 7, 1 / 7])
    np.testing.assert_array_equal(found[2, ..., 0], np.rint(90 - 60 * dark))
    np.testing.assert_array_equal(found[0], small)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({(8, 8): 2, (9, 9): 3}, (9, 9)),
        ({(8, 9): 2, (9, 8): 2}, (9, 8)),
        ({(64, 64): 1}, (64, 64)),
        ({(100, 400): 1}, (16, 64)),
        ({(4000, 10): 1}, (64, 1)),
    ],
)
def test_the_longer_side_has_64_pixels_at_most(sizes, expected):
    assert common_size(Counter(sizes)) == expected
