import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.splits import Data, Splits
from keras_regimen.recipes.harness.contract.streamed_splits import (
    StreamedRows,
    StreamedSplits,
    as_inputs,
)
from keras_regimen.recipes.harness.refusal import RefusalError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (30, 4, 3, 1)).astype("uint8")
LABELS = (np.arange(30) % 3).astype("int32")
PARTS = [np.arange(18)[::-1], np.arange(18, 24), np.arange(24, 30)]


def pair(y=LABELS, parts=PARTS):
    """The same rows, streamed and in memory."""
    streamed = [StreamedRows(X, y[rows], rows) for rows in parts]
    held = [(X[rows].astype("float32") / 255, y[rows]) for rows in parts]
    return StreamedSplits(*streamed, digest="d"), Splits(*held)


def test_it_says_the_same_of_the_rows_as_splits_in_memory():
    streamed, held = pair()
    for name in ("input_shape", "target", "num_classes", "counts"):
        assert getattr(streamed, name) == getattr(held, name)
    for part, y in held.labels.items():
        np.testing.assert_array_equal(streamed.labels[part], y)
    assert repr(streamed) == f"Streamed{held!r}"


@pytest.mark.parametrize("takes", ["vector", "image", "sequence"])
def test_batches_are_the_rows_in_their_order(takes):
    streamed, held = (s.to(takes, "classes") for s in pair())
    assert streamed.input_shape == held.input_shape
    for part in ("train", "validation", "test"):
        batches = list(getattr(streamed, part).batches(5))
        sizes = [len(y) for _, y in batches]
        assert sizes == ([5, 5, 5, 3] if part == "train" else [5, 1])
        x, y = (np.concatenate(a) for a in zip(*batches, strict=True))
        np.testing.assert_array_equal(x, getattr(held, part)[0])
        np.testing.assert_array_equal(y, getattr(held, part)[1])


def test_a_dataset_may_be_iterated_over_again():
    dataset = pair()[0].train.batches(6)
    first, again = ([np.array(x) for x, _ in dataset] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert int(dataset.cardinality()) == 3


def test_places_are_answered_in_the_order_of_asking():
    rows = pair()[0].train
    x, y = rows.batch(np.array([4, 0, 4, 9]))
    np.testing.assert_array_equal(x, as_inputs(X[[13, 17, 13, 8]]))
    np.testing.assert_array_equal(y, LABELS[[13, 17, 13, 8]])


@pytest.mark.parametrize(
    ("y", "target", "num_classes"),
    [
        (LABELS % 2, "binary", 2),
        (RNG.normal(size=(30, 2)).astype("float32"), "real", None),
    ],
)
def test_targets_are_converted_as_those_in_memory(y, target, num_classes):
    streamed, held = (s.to("vector", target) for s in pair(y))
    assert (streamed.target, streamed.num_classes) == (target, num_classes)
    for part, expected in held.labels.items():
        np.testing.assert_array_equal(streamed.labels[part], expected)


@pytest.mark.parametrize(
    ("takes", "target", "sentence"),
    [
        ("vector", "real", "predicts real numbers, and this data has 3"),
        ("vector", "binary", "tells 2 classes apart"),
    ],
)
def test_data_that_cannot_serve_is_refused(takes, target, sentence):
    with pytest.raises(RefusalError, match=sentence):
        pair()[0].to(takes, target)


def test_whole_arrays_are_refused_with_what_to_do():
    streamed, _ = pair()
    for part in (streamed.test, Data(streamed).train):
        with pytest.raises(RefusalError, match="REGIMEN_MEMORY_MB"):
            _, _ = part


def test_the_fingerprint_tells_rows_parts_and_data_apart():
    streamed, _ = pair()
    assert streamed.fingerprint == pair()[0].fingerprint
    others = [
        pair(parts=[PARTS[0], PARTS[2], PARTS[1]])[0],
        pair(parts=[PARTS[0][::-1], *PARTS[1:]])[0],
        pair(y=LABELS[::-1])[0],
        StreamedSplits(
            streamed.train, streamed.validation, streamed.test, digest="e"
        ),
        streamed.to("vector", "classes"),
    ]
    prints = {s.fingerprint for s in [streamed, *others]}
    assert len(prints) == 6
    assert all(len(p) == 64 for p in prints)
