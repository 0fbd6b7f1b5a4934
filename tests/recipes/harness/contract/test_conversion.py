import numpy as np
import pytest

from keras_regimen.recipes.harness import RefusalError, Splits
from keras_regimen.recipes.harness.contract.conversion import (
    count_classes,
    kind_of_target,
)

# Each number says where it stands: row, line, column, channel.
IMAGES = np.float32(
    [
        [
            [[1000 * n + 100 * i + 10 * j + c for c in range(2)]]
            for i in range(3)
            for j in range(4)
        ]
        for n in range(2)
    ]
).reshape(2, 3, 4, 2)
VECTORS = np.float32([[1, 2], [3, 4]])
SEQUENCES = np.float32([[[1, 2], [3, 4], [5, 6]]] * 2)
CLASSES = np.array([2, 0])
TWO = np.array([1, 0])
BINARY = np.float32([[1], [0]])
REAL = np.float32([0.5, -1])
STEPS = np.array([[0, 1, 0], [1, 1, 0]])


def splits(x, y, unlabeled=None):
    return Splits((x, y), (x, y), (x, y), unlabeled)


@pytest.mark.parametrize(
    ("x", "takes", "expected"),
    [
        (VECTORS, "vector", VECTORS),
        (IMAGES, "image", IMAGES),
        (SEQUENCES, "sequence", SEQUENCES),
        (SEQUENCES, "vector", [[1, 2, 3, 4, 5, 6]] * 2),
    ],
)
def test_inputs_take_the_shape_of_the_recipe(x, takes, expected):
    converted = splits(x, CLASSES, unlabeled=x).to(takes, "classes")
    for got in (converted.train[0], converted.test[0], converted.unlabeled):
        np.testing.assert_array_equal(got, expected)


def test_image_becomes_a_vector_or_a_sequence_of_its_lines():
    vectors = splits(IMAGES, CLASSES).to("vector", "classes").train[0]
    lines = splits(IMAGES, CLASSES).to("sequence", "classes").train[0]
    assert vectors.shape == (2, 24)
    assert lines.shape == (2, 3, 8)
    # Row 1, line 2, column 3, channel 1: the last number of either.
    assert vectors[1, 23] == lines[1, 2, 7] == 1231
    # Line 1, column 2, channel 0.
    assert vectors[0, 1 * 8 + 2 * 2] == lines[0, 1, 2 * 2] == 120


@pytest.mark.parametrize(
    ("y", "target", "expected"),
    [
        (CLASSES, "classes", np.int32([2, 0])),
        (TWO, "classes", np.int32([1, 0])),
        (BINARY, "classes", np.int32([1, 0])),
        (TWO, "binary", BINARY),
        (BINARY, "binary", BINARY),
        (BINARY[:, 0], "binary", BINARY),
        (BINARY, "real", BINARY),
        (REAL, "real", REAL[:, None]),
        (np.stack([REAL, REAL], 1), "real", np.stack([REAL, REAL], 1)),
    ],
)
def test_targets_take_the_form_of_the_recipe(y, target, expected):
    converted = splits(VECTORS, y).to("vector", target)
    for _, got in (converted.train, converted.validation, converted.test):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    again = converted.to("vector", target)
    np.testing.assert_array_equal(again.train[1], expected)


def test_labels_at_each_step_stay_with_sequences():
    converted = splits(SEQUENCES, STEPS).to("sequence", "classes")
    np.testing.assert_array_equal(converted.train[1], STEPS)


@pytest.mark.parametrize(
    ("x", "y", "takes", "target", "message"),
    [
        (VECTORS, CLASSES, "image", "classes", r"takes images.*\(2,\)"),
        (SEQUENCES, CLASSES, "image", "classes", r"takes images.*\(3, 2\)"),
        (VECTORS, CLASSES, "sequence", "classes", r"takes sequences.*\(2,\)"),
        (VECTORS, CLASSES, "vector", "binary", r"2 classes.*has 3 classes"),
        (VECTORS, REAL, "vector", "binary", r"classes.*real targets"),
        (VECTORS, REAL, "vector", "classes", r"classes.*real targets"),
        (VECTORS, CLASSES, "vector", "real", r"real numbers.*3 classes"),
        (SEQUENCES, STEPS, "vector", "classes", r"vectors.*each time step"),
        (SEQUENCES, STEPS, "sequence", "binary", r"binary.*each time step"),
        (SEQUENCES, STEPS, "sequence", "real", r"real.*each time step"),
    ],
)
def test_data_that_cannot_serve_is_refused(x, y, takes, target, message):
    with pytest.raises(RefusalError, match=message):
        splits(x, y).to(takes, target)


@pytest.mark.parametrize(
    ("takes", "target"), [("table", "real"), ("vector", "labels")]
)
def test_unknown_words_are_refused(takes, target):
    with pytest.raises(ValueError, match=f"takes='{takes}', target='{target}'"):
        splits(VECTORS, CLASSES).to(takes, target)


@pytest.mark.parametrize(
    ("parts", "kind", "num_classes"),
    [
        ([np.array([0, 1], "int32"), np.array([4], "int32")], "classes", 5),
        ([np.array([[0.0], [1.0]]), np.array([[1.0]])], "binary", 2),
        ([np.array([[0.0], [1.0]]), np.array([[0.5]])], "real", None),
        ([np.array([[0.0, 1.0]])], "real", None),
    ],
)
def test_what_targets_look_like_is_seen_in_all_parts(parts, kind, num_classes):
    assert kind_of_target(parts) == kind
    assert count_classes(parts) == num_classes
