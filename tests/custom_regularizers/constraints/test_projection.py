import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_regularizers.constraints.projection import (
    checked_size,
    onto_simplex,
    slack,
)


def bisected(row, total):
    """Finds the threshold without a sort, to 1e-12."""
    low, high = row.min() - total, row.max()
    while high - low > 1e-12:
        middle = (low + high) / 2
        if np.maximum(row - middle, 0).sum() > total:
            low = middle
        else:
            high = middle
    return np.maximum(row - low, 0)


@pytest.mark.parametrize("entries", [1, 2, 7, 500])
@pytest.mark.parametrize("total", [0.3, 1.0, 40.0])
def test_nearest_point_is_that_of_a_bisection(entries, total, wide):
    rows = np.random.default_rng(entries).normal(size=(6, entries))
    rows[0] = rows[0, 0]  # Ties.
    found = onto_simplex(ops.convert_to_tensor(rows.astype(wide)), total)
    expected = [bisected(row, total) for row in rows]
    np.testing.assert_allclose(
        ops.convert_to_numpy(found),
        expected,
        rtol=0,
        atol=1e-10 if wide == "float64" else 1e-6 * max(total, 1),
    )


def test_total_far_below_the_entries_is_kept():
    rows = ops.convert_to_tensor([[1e8, 1e8, -3.0]], dtype="float32")
    found = ops.convert_to_numpy(onto_simplex(rows, 1.0))
    np.testing.assert_array_equal(found, [[0.5, 0.5, 0.0]])


def test_slack_is_rounding_error_only(wide):
    for dtype in ("float32", wide):
        step = np.finfo(dtype).eps
        assert slack(ops.ones((1,), dtype=dtype)) == 1 + 4 * step


def test_size_becomes_a_python_float():
    assert type(checked_size("radius", np.float32(2))) is float
