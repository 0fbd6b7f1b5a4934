import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.checked_arrays import (
    checked_inputs,
    checked_pair,
)

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def test_inputs_become_float32_and_labels_int32():
    x, y = checked_pair("train", (X.astype("uint8"), np.array([2, 0, 1])))
    assert (x.dtype, y.dtype) == ("float32", "int32")
    assert x.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert y.tolist() == [2, 0, 1]


def test_lists_serve_and_booleans_are_labels():
    x, y = checked_pair("train", [[[1, 2], [3, 4]], [True, False]])
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert (y.dtype, y.tolist()) == ("int32", [1, 0])


def test_float_targets_stay_numbers_of_any_shape():
    target = np.array([[0.5, -1.0], [2.0, 3.0], [1e-3, 0.0]])
    _, y = checked_pair("train", (X, target))
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y, target.astype("float32"))


def test_a_column_of_labels_is_flattened():
    _, y = checked_pair("train", (X, np.array([[2], [0], [1]])))
    assert y.tolist() == [2, 0, 1]


def test_a_label_for_each_time_step_keeps_its_shape():
    sequences = np.zeros((3, 4, 1))
    labels = np.arange(12).reshape(3, 4)
    _, y = checked_pair("train", (sequences, labels))
    np.testing.assert_array_equal(y, labels)


def test_what_comes_back_is_read_only_and_the_callers_own_is_not():
    own_x, own_y = X.astype("float32"), np.array([0, 1, 1], "int32")
    x, y = checked_pair("train", (own_x, own_y))
    for array in (x, y):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    own_x[0, 0] = own_y[0] = 7
    assert own_x[0, 0] == own_y[0] == 7


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        (X, r"`train` must be a pair \(x, y\) of arrays. Received: ndarray$"),
        ((X, [0, 1, 1], [1, 1, 1]), r"must be a pair.*Received: tuple$"),
        (
            (X, [0, 1]),
            "`train` must have as many targets as inputs. "
            "Received: 3 inputs and 2 targets$",
        ),
        (
            (X, np.eye(3, dtype="int32")),
            "one-hot columns must come as labels. "
            r"Received: x of shape \(3, 2\), y of shape \(3, 3\)$",
        ),
        (
            (X, ["a", "b", "c"]),
            "`train` targets must be integer labels or floats, one row for "
            r"each input. Received: <U1 of shape \(3,\)$",
        ),
        ((X, 1.0), r"targets must be integer.*Received: float64 of shape \(\)"),
        (
            (X, np.zeros((3, 1, 1), int)),
            r"targets must be integer.*Received: int64 of shape \(3, 1, 1\)$",
        ),
        (
            (X, [-1, 0, 1]),
            "`train` labels must count from 0; real targets must come as "
            "floats. Received: labels from -1 to 1$",
        ),
        ((X, [0, 1, 2**31]), "Received: labels from 0 to 2147483648$"),
        (
            (X, [0.0, np.nan, np.inf]),
            "`train` targets must be finite float32 numbers. "
            "Received: 2 that are not$",
        ),
    ],
)
def test_a_pair_that_cannot_be_trained_on_is_refused(pair, sentence):
    with pytest.raises(ValueError, match=sentence):
        checked_pair("train", pair)


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (
            np.arange(3.0),
            "`test` inputs must be an array of numbers of shape "
            r"\(rows, ...\). Received: float64 of shape \(3,\)$",
        ),
        ([["a"]], r"inputs must be.*Received: <U1 of shape \(1, 1\)$"),
        ([[1j]], r"inputs must be.*Received: complex128 of shape \(1, 1\)$"),
        (np.empty((0, 2)), "`test` must have a row or more. Received: none$"),
        # 1e39 is a float64 that float32 has no room for.
        ([[1e39, 1.0]], "inputs must be finite float32.*Received: 1 that"),
        ([[np.nan, -np.inf]], "inputs must be finite float32.*2 that are not"),
    ],
)
def test_inputs_that_cannot_be_trained_on_are_refused(x, sentence):
    with pytest.raises(ValueError, match=sentence):
        checked_inputs("test", x)
