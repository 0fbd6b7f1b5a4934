import numpy as np
import pytest

from keras_regimen.recipes.harness.datasets.table_text import read_table
from keras_regimen.recipes.harness.refusal import RefusalError


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "t.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def read(path):
    return {c.name: c.values.tolist() for c in read_table(path)}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_found_and_quotes_are_kept(table, separator):
    text = 'a|b|"c, or; d"\n1|x|"p\nq"\n2|"y, z; t"|r\n\n'
    found = read(table(text.replace("|", separator)))
    assert found == {
        "a": [1.0, 2.0],
        "b": ["x", "y, z; t"],
        "c, or; d": ["p\nq", "r"],
    }


def test_after_a_semicolon_numbers_have_a_decimal_comma(table):
    assert read(table("a;b\n1,5;2.5\n-3,25;1e3\n"))["a"] == [1.5, -3.25]


def test_missing_values_make_no_column_text(table):
    found = read(table("a,b\n1, NA\nNaN,x\n?,\nnull,n/a\n,None\ninf,y\n"))
    np.testing.assert_array_equal(found["a"], [1.0] + [np.nan] * 5)
    assert found["b"] == ["", "x", "", "", "", "y"]
    missing = [c.missing.tolist() for c in read_table(table("a,b\n,1\nx,?\n"))]
    assert missing == [[True, False], [False, True]]


def test_a_mark_of_the_byte_order_is_no_part_of_a_name(table):
    assert list(read(table("a,b\n1,2\n", "utf-8-sig"))) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "t.csv is empty"),
        ("a,b\n", "t.csv has a header and no rows"),
        ("1,2\n3,4\n", "must name its columns in the first line"),
        ("a,b,a\n1,2,3\n", "names a column twice: 'a'"),
        ("a,b\n1,2\n1,2,3\n", "line 3: 3 values, and the header names 2"),
    ],
)
def test_what_is_no_table_is_a_sentence(table, text, sentence):
    with pytest.raises(RefusalError, match=sentence):
        read_table(table(text))


def test_text_of_another_encoding_is_a_sentence(table):
    with pytest.raises(RefusalError, match="no table of text in UTF-8"):
        read_table(table("café,b\n1,2\n", "latin-1"))
