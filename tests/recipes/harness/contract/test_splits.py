import hashlib

import numpy as np
import pytest

from keras_regimen.recipes.harness import Data, Splits

RNG = np.random.default_rng(0)


def pair(rows=6, shape=(4,), y=None):
    """Returns random inputs, and labels 0, 1, 2, 0, 1, 2 by default."""
    x = RNG.normal(size=(rows, *shape))
    return x, np.arange(rows) % 3 if y is None else y


def splits(**changes):
    parts = {"train": pair(9), "validation": pair(6), "test": pair(3)}
    return Splits(**{**parts, **changes})


def test_a_users_binary_task_goes_through_unchanged():
    x, y = RNG.normal(size=(5, 2)).astype("float32"), np.float32([[0], [1]])
    parts = [(x[:2], y), (x[2:4], y[::-1]), (x[3:], y)]
    data = Splits(*parts)
    assert (data.input_shape, data.target, data.num_classes) == (
        (2,),
        "binary",
        2,
    )
    for got, given in zip(
        (data.train, data.validation, data.test), parts, strict=True
    ):
        for mine, theirs in zip(got, given, strict=True):
            assert mine.dtype == np.float32
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("y", "target", "num_classes"),
    [
        (np.array([0, 1, 1], "int64"), "classes", 2),
        (np.array([[0], [4], [1]], "uint8"), "classes", 5),
        (np.array([False, True, True]), "classes", 2),
        (np.array([0.0, 1.0, 1.0]), "binary", 2),
        (np.array([0.0, 1.0, 2.0]), "real", None),
        (np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), "real", None),
        (np.array([0.0, 0.5, 1.0], "float16"), "real", None),
    ],
)
def test_target_is_recognized_from_type_and_values(y, target, num_classes):
    data = Splits(*[pair(3, y=y)] * 3)
    assert (data.target, data.num_classes) == (target, num_classes)


def test_column_of_integers_becomes_labels():
    data = Splits(*[pair(3, y=np.array([[0], [4], [1]], "uint8"))] * 3)
    assert data.train[1].dtype == np.int32
    assert data.train[1].tolist() == [0, 4, 1]


def test_classes_are_counted_over_all_parts():
    data = splits(test=pair(2, y=np.array([0, 6])))
    assert data.num_classes == 7


def test_inputs_become_float32_and_keep_their_scale():
    x = np.array([[0, 255], [3, 4]], "uint8")
    data = Splits(*[(x, [0, 1])] * 3)
    assert data.train[0].dtype == np.float32
    np.testing.assert_array_equal(data.train[0], [[0, 255], [3, 4]])


def test_arrays_are_read_only_and_the_callers_are_not():
    x, y = np.zeros((2, 1), "float32"), np.array([0, 1], "int32")
    data = Splits((x, y), (x, y), (x, y), unlabeled=x)
    for array in (*data.train, *data.validation, *data.test, data.unlabeled):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    x[0] = y[0] = 1


def test_fingerprint_hashes_dtype_shape_and_bytes_of_each_array_in_order():
    x, y = np.float32([[1.5, -2.0]]), np.float32([3.0])
    unlabeled = np.float32([[0.0, 7.0]])
    data = Splits((x, y), (2 * x, y), (x, 2 * y), unlabeled)
    # Little-endian IEEE 754 by hand: 1.5 is 3fc00000, -2 is c0000000, and so
    # on; one array after the other.
    of = {"1.5": "0000c03f", "-2": "000000c0", "3": "00004040"}
    of |= {"-4": "000080c0", "6": "0000c040", "0": "00000000", "7": "0000e040"}
    expected = hashlib.sha256()
    for shape, numbers in (
        ("(1, 2)", ["1.5", "-2"]),
        ("(1,)", ["3"]),
        ("(1, 2)", ["3", "-4"]),
        ("(1,)", ["3"]),
        ("(1, 2)", ["1.5", "-2"]),
        ("(1,)", ["6"]),
        ("(1, 2)", ["0", "7"]),
    ):
        expected.update(b"<f4" + shape.encode())
        expected.update(bytes.fromhex("".join(of[n] for n in numbers)))
    assert data.fingerprint == expected.hexdigest()


def test_fingerprint_changes_with_each_array_and_its_shape():
    x, y = np.arange(8.0).reshape(2, 4), np.array([0, 1])
    parts = {"train": (x, y), "validation": (x, y), "test": (x, y)}
    base = Splits(**parts)
    others = [
        Splits(**{**parts, part: changed})
        for part in parts
        for changed in ((x + 1, y), (x, 1 - y))
    ]
    others.append(Splits(**parts, unlabeled=x))
    others.append(Splits(*[(x.reshape(2, 2, 2), y)] * 3))
    prints = [each.fingerprint for each in (base, *others)]
    assert len(set(prints)) == len(prints)
    assert Splits(**parts).fingerprint == base.fingerprint


def test_fingerprint_reads_rows_in_order_whatever_the_memory_layout():
    x = np.asfortranarray(np.arange(8, dtype="float32").reshape(2, 4))
    assert (
        Splits(*[(x, [0, 1])] * 3).fingerprint
        == Splits(*[(x.copy("C"), [0, 1])] * 3).fingerprint
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": np.zeros((3, 2))}, r"`train` must be a pair.*ndarray"),
        ({"test": (np.zeros((3, 4)),)}, r"`test` must be a pair"),
        ({"train": pair(3, y=[0, 1])}, r"`train`.*3 inputs and 2 targets"),
        ({"validation": pair(0)}, r"`validation` must have a row"),
        ({"test": pair(0)}, r"`test` must have a row"),
        ({"test": pair(3, (5,))}, r"`test` and `train`.*\(5,\).*\(4,\)"),
        ({"test": pair(3, y=[0.0, 1.0, 0.0])}, r"y float32.*y int32"),
        ({"test": pair(3, y=np.zeros((3, 4), int))}, r"`test` and `train`"),
        ({"train": pair(2, y=[0.5, np.nan])}, r"`train` targets.*finite.* 1 "),
        ({"train": (np.array([[np.inf]]), [1])}, r"`train` inputs.*finite"),
        ({"train": (np.array([[1e300]]), [1])}, r"`train` inputs.*finite"),
        ({"train": (np.zeros(3), [0, 1, 2])}, r"`train` inputs.*\(3,\)"),
        ({"train": (np.array([["a"]]), [1])}, r"`train` inputs.*<U1"),
        ({"train": pair(2, y=["no", "yes"])}, r"`train` targets.*<U3"),
        ({"train": pair(2, y=[-1, 1])}, r"count from 0.*from -1 to 1"),
        ({"train": pair(2, y=[0, 2**40])}, r"count from 0.*1099511627776"),
        ({"train": pair(3, y=np.eye(3, dtype=int))}, r"one-hot.*\(3, 3\)"),
        ({"unlabeled": np.zeros((3, 5))}, r"`unlabeled`.*\(4,\).*\(5,\)"),
        ({"unlabeled": np.zeros((0, 4))}, r"`unlabeled` must have a row"),
    ],
)
def test_bad_data_is_refused_in_a_sentence(changes, message):
    with pytest.raises(ValueError, match=message):
        splits(**changes)


def test_labels_of_one_class_are_refused():
    part = pair(2, y=[0, 0])
    with pytest.raises(ValueError, match="two classes or more"):
        Splits(part, part, part)


def test_nothing_can_be_assigned():
    with pytest.raises(AttributeError, match="train"):
        splits().train = None


def test_data_remembers_whether_an_array_was_read():
    source = splits(unlabeled=np.zeros((2, 4)))
    data = Data(source)
    assert data.input_shape == (4,)
    assert data.num_classes == 3
    assert not data.arrays_read
    for part in ("train", "validation", "unlabeled"):
        data = Data(source)
        assert getattr(data, part) is getattr(source, part)
        assert data.arrays_read


def test_data_hides_the_test_rows():
    data = Data(splits())
    with pytest.raises(AttributeError, match="without the test rows"):
        _ = data.test
    assert not data.arrays_read
