import numpy as np
from keras import ops

from keras_regimen.custom_optimizers.autodiff import (
    compiled,
    map_rows,
    while_loop,
)


def fibonacci(limit):
    return while_loop(
        lambda s: s["next"] < limit,
        lambda s: {"last": s["next"], "next": s["last"] + s["next"]},
        {"last": ops.array(1), "next": ops.array(1)},
    )["last"]


def test_compiled_and_eager_loops_agree():
    limit = ops.array(100)
    assert int(fibonacci(limit)) == 89
    assert int(compiled(fibonacci)(limit)) == 89


def test_an_eager_loop_may_ask_the_host():
    rows = iter(np.eye(3, dtype="float32"))
    total = while_loop(
        lambda s: float(ops.sum(s)) < 3,
        lambda s: s + ops.array(next(rows)),
        ops.zeros(3),
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(total), np.ones(3))


def test_rows_are_mapped_one_by_one_compiled_or_not():
    rows = ops.array(np.arange(6.0).reshape(3, 2))

    def scaled(rows):
        return map_rows(lambda row: row * row[0], rows)

    expected = [[0, 0], [4, 6], [16, 20]]
    np.testing.assert_array_equal(ops.convert_to_numpy(scaled(rows)), expected)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(compiled(scaled)(rows)), expected
    )
