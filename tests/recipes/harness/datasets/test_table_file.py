import csv

import numpy as np
import pytest

from keras_regimen.recipes.harness.datasets.row_parts import row_parts
from keras_regimen.recipes.harness.datasets.table_file import open_table
from keras_regimen.recipes.harness.refusal import RefusalError

ROWS = 50


@pytest.fixture
def table(tmp_path):
    """Returns a function that writes columns, `None` where one is missing."""

    def write(**columns):
        path = tmp_path / "t.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        return path

    return write


def numbers(seed=0):
    return np.random.default_rng(seed).normal(5, 3, ROWS).round(3).tolist()


def flags():
    return ["yes", "no"] * (ROWS // 2)


def test_numbers_are_imputed_and_scaled_by_the_training_rows_alone(table):
    a = numbers()
    a[3] = a[7] = a[20] = None
    splits = open_table(table(a=a, y=flags()), "y")(1)
    y = np.array([flag == "yes" for flag in flags()], "int32")
    parts = row_parts(y, 1)
    # By hand: the median and the moments of the training rows.
    column = np.array(a, float)
    train = column[parts[0]]
    filled = np.where(np.isnan(column), np.nanmedian(train), column)
    mean, std = filled[parts[0]].mean(), filled[parts[0]].std()
    pairs = (splits.train, splits.validation, splits.test)
    for (x, labels), rows in zip(pairs, parts, strict=True):
        scaled = ((filled - mean) / std)[rows]
        np.testing.assert_allclose(x[:, 0], scaled, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(labels, y[rows])
    # The mark of a missing value, where the training rows lack some.
    assert np.isnan(train).any()
    marks = splits.train[0][:, 1]
    assert len(np.unique(marks[np.isnan(train)])) == 1
    assert marks[np.isnan(train)][0] > 0 > marks[~np.isnan(train)].max()


def test_what_stands_in_test_rows_changes_no_training_input(table):
    a, b = numbers(), ["p", "q", "r", "s", "t"] * 10
    before = open_table(table(a=a, b=b, y=flags()), "y")(0)
    y = np.array([flag == "yes" for flag in flags()], "int32")
    for row in row_parts(y, 0)[2]:
        a[row], b[row] = 1e6, "never seen in training"
    after = open_table(table(a=a, b=b, y=flags()), "y")(0)
    for part in ("train", "validation"):
        np.testing.assert_array_equal(
            getattr(before, part)[0], getattr(after, part)[0]
        )
    # A text that training lacks is none of those that it has.
    assert (after.test[0][:, 1:] == 0).all()
    assert (after.test[0][:, 0] > 1000).all()


def test_a_text_is_one_input_each_and_a_missing_one_is_too(table):
    b = (["red", "blue", None, "red", "blue"] * ROWS)[:ROWS]
    splits = open_table(table(b=b, y=numbers()), "y")(0)
    x = splits.train[0]
    rows = row_parts(np.zeros((ROWS, 1), "float32"), 0)[0]
    # In the order of the alphabet, nothing first.
    for column, text in enumerate([None, "blue", "red"]):
        np.testing.assert_array_equal(
            x[:, column], [b[row] == text for row in rows]
        )


def test_rare_texts_share_one_input(table):
    path = table(
        b=[f"town {i % 50}" for i in range(200)], y=[i / 7 for i in range(200)]
    )
    x, _ = open_table(path, "y")(0).train
    assert x.shape == (120, 32)
    np.testing.assert_array_equal(x.sum(axis=1), 1)
    # The last input stands for the 19 rarest towns of 50.
    assert x[:, -1].sum() > x[:, :-1].sum(axis=0).max()


def test_a_real_target_is_scaled_by_the_training_rows(table):
    y = numbers(1)
    splits = open_table(table(a=numbers(), y=y), "y")(2)
    rows = row_parts(np.zeros((ROWS, 1), "float32"), 2)
    train, test = np.array(y)[rows[0]], np.array(y)[rows[2]]
    expected = (test - train.mean()) / train.std()
    np.testing.assert_allclose(splits.test[1][:, 0], expected, rtol=1e-4)
    # So predicting the mean has an rmse of 1.
    assert np.sqrt((splits.train[1] ** 2).mean()) == pytest.approx(1, abs=1e-5)


def test_the_sentence_says_what_was_found(table):
    y = flags()
    y[4] = y[5] = None
    path = table(a=numbers(), b=["p", "q"] * (ROWS // 2), bought=y)
    assert open_table(path, "bought").sentence == (
        "t.csv: 48 rows, 2 columns (1 text), target 'bought': 2 classes; 2 "
        "rows without a target left out"
    )


def test_ids_and_row_numbers_and_empty_columns_are_left_out(table):
    path = table(
        key=[f"id {i}" for i in range(ROWS)],
        row=range(1, ROWS + 1),
        none=[None] * ROWS,
        a=numbers(),
        y=flags(),
    )
    source = open_table(path, "y")
    assert source(0).input_shape == (1,)
    assert source.sentence.endswith(
        "2 classes; left out: 'key' (an id), 'row' (numbers the rows), "
        "'none' (empty)"
    )


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("z", "t.csv has no column 'z'; it has a, b, c, y"),
        ("c", "'c' has the same value in every row"),
        ("b", "'b' has 50 different texts"),
    ],
)
def test_a_column_that_is_no_target_is_refused(table, target, sentence):
    path = table(
        a=numbers(), b=[f"b{i}" for i in range(50)], c=[1] * 50, y=flags()
    )
    with pytest.raises(RefusalError, match=sentence):
        open_table(path, target)


def test_a_table_without_features_is_refused(table):
    with pytest.raises(RefusalError, match="no column to predict 'y' from"):
        open_table(table(y=flags()), "y")


def test_a_table_larger_than_memory_is_refused_with_what_to_do(
    table, monkeypatch
):
    path = table(a=numbers(), y=flags())
    monkeypatch.setenv("REGIMEN_MEMORY_MB", "0.0001")
    with pytest.raises(RefusalError, match="save it as an .npz with numbers x"):
        open_table(path, "y")


def test_its_name_changes_with_the_file_and_not_with_its_place(table, tmp_path):
    first = open_table(table(a=numbers(), y=flags()), "y")
    moved = tmp_path / "elsewhere" / "t.csv"
    moved.parent.mkdir()
    moved.write_bytes((tmp_path / "t.csv").read_bytes())
    assert open_table(moved, "y").name == first.name
    assert first.name.startswith("t.csv:y@")
    assert open_table(table(a=numbers(1), y=flags()), "y").name != first.name
