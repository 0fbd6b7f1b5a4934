import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers.normalization.masked_mean import (
    align_mask,
    masked_mean,
)


def aligned(mask, shape, axis):
    mask = align_mask(ops.convert_to_tensor(mask), np.zeros(shape), axis)
    return ops.convert_to_numpy(mask)


@pytest.mark.parametrize(
    ("axis", "shape", "insert"),
    [
        (-1, (2, 3), np.s_[:, None]),
        (-1, (2, 3, 4), np.s_[:, None, None]),
        (1, (2, 3, 4), np.s_[:, None, None]),
        (-2, (2, 3, 4), np.s_[:, None, None]),
    ],
)
def test_mask_of_samples_covers_their_values(axis, shape, insert):
    mask = np.array([True, False])
    np.testing.assert_array_equal(
        aligned(mask, shape, axis), np.broadcast_to(mask[insert], shape)
    )


@pytest.mark.parametrize(
    ("axis", "shape", "insert"),
    [
        (-1, (3, 2, 4), np.s_[:, :, None]),
        (1, (3, 4, 2), np.s_[:, None, :]),
        (-1, (3, 2, 5, 4), np.s_[:, :, None, None]),
        (1, (3, 4, 2, 5), np.s_[:, None, :, None]),
        (2, (3, 2, 4), np.s_[:, :, None]),
    ],
)
def test_mask_of_steps_covers_all_channels(axis, shape, insert):
    mask = np.array([[True, False], [True, True], [False, False]])
    np.testing.assert_array_equal(
        aligned(mask, shape, axis), np.broadcast_to(mask[insert], shape)
    )


def test_mask_of_the_same_rank_is_broadcast():
    mask = np.array([[True], [False]])
    np.testing.assert_array_equal(
        aligned(mask, (2, 3), -1), np.repeat(mask, 3, 1)
    )


def test_mean_follows_numpy_with_and_without_a_mask():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 4, 5)).astype("float32")
    mask = rng.random(values.shape) < 0.5
    mask[1] = False  # Of nothing, the mean is 0.
    for axes in ([0], [1], [0, 2], [1, 2], []):
        found = masked_mean(ops.convert_to_tensor(values), axes)
        np.testing.assert_allclose(
            ops.convert_to_numpy(found),
            values.mean(tuple(axes), keepdims=True),
            rtol=1e-5,
            atol=1e-7,
        )
        dirty = np.where(mask, values, np.nan).astype("float32")
        found = masked_mean(
            ops.convert_to_tensor(dirty), axes, ops.convert_to_tensor(mask)
        )
        clean = np.where(mask, values, 0)
        total = clean.sum(tuple(axes), keepdims=True)
        count = mask.sum(tuple(axes), keepdims=True)
        np.testing.assert_allclose(
            ops.convert_to_numpy(found),
            total / np.maximum(count, 1),
            rtol=1e-5,
            atol=1e-6,
        )
