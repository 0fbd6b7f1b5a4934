import pytest

from keras_regimen.recipes.harness.terminal.columns import columns
from keras_regimen.recipes.harness.terminal.console import plain

NAMES = ("arm", "score", "curve", "seeds")
ROWS = [("plain", "0.25", "█▁▂", "10"), ("a_long_name", "12.5", "█▁", "9")]


def drawn(width, rows=ROWS):
    table = columns(NAMES, rows, words=("arm", "curve"), spare="curve")
    return plain(table, width).splitlines()


def test_words_stand_left_and_figures_right():
    # 11 + 5 + 5 + 5 signs and three spaces after each column but the last.
    assert drawn(35) == [
        "arm           score   curve   seeds",
        "plain          0.25   █▁▂        10",
        "a_long_name    12.5   █▁          9",
    ]


@pytest.mark.parametrize(
    ("width", "header"),
    [
        (34, "arm           score   seeds"),
        (27, "arm           score   seeds"),
        (26, "arm          score  seeds"),
        (24, "arm         score seeds"),
        (23, "arm         score seeds"),
    ],
)
def test_a_narrow_table_loses_the_spare_column_and_then_space(width, header):
    assert drawn(width)[0] == header


def test_where_nothing_fits_words_are_broken_and_figures_stand():
    assert drawn(18) == [
        "arm    score seeds",
        "plain   0.25    10",
        "a_long  12.5     9",
        "_name",
    ]


def test_an_empty_spare_column_is_none():
    assert drawn(80, [("plain", "0.25", "", "10")]) == [
        "arm     score   seeds",
        "plain    0.25      10",
    ]


def test_brackets_are_no_markup():
    table = columns(("[bold]",), [("[/red]",)], words=())
    assert plain(table) == "[bold]\n[/red]"
