import pytest

from keras_regimen.recipes.harness.reproduce import compare_rows
from keras_regimen.recipes.harness.terminal.console import plain
from keras_regimen.recipes.harness.terminal.reproduction import reproduction

ROW = {
    "recipe": "dropout",
    "id": "717d9d89980c66cf",
    "arm": "l2",
    "seed": 0,
    "scale": "cpu",
    "data": "noisy",
    "status": "done",
    "code": "aaaa",
    "curves": {"loss": [3.0, 2.0], "val_loss": [3.5, 2.5]},
    "versions": {"keras": "3.15.1"},
}
FAILED = {**ROW, "status": "failed", "error": "ValueError: no"}


def said(row, again):
    return plain(reproduction(compare_rows(row, again)))


def test_an_equal_row_is_one_word_below_its_name():
    assert said(ROW, ROW).splitlines() == [
        "dropout:717d9d89980c66cf · arm l2, seed 0, cpu, noisy",
        "equal to the bit: 4 figures",
    ]


def test_what_changed_without_an_effect_is_said_too():
    lines = said(ROW, ROW | {"versions": {"keras": "3.16"}}).splitlines()
    assert lines[-2:] == [
        "changed since, too:",
        "  keras: 3.15.1 then, 3.16 now",
    ]


def test_a_different_row_shows_figures_first_and_reasons_after():
    curves = {"loss": [3.0, 2.0], "val_loss": [3.5, 2.625]}
    again = ROW | {"curves": curves, "versions": {"keras": "3.16"}}
    lines = said(ROW, again).splitlines()
    assert lines[1] == "different: 1 of 4 figures"
    assert lines[4].split() == [
        *("curves/val_loss", "1/2", "epoch", "2", "1.25e-01"),
        *("epoch", "2", "2.5", "2.625"),
    ]
    assert lines[-2:] == ["why it may be:", "  keras: 3.15.1 then, 3.16 now"]
    assert max(map(len, lines)) <= 80


def test_a_difference_without_a_reason_says_where_to_look():
    again = ROW | {"curves": {"loss": [3.0, 2.0], "val_loss": [3.5, 9.0]}}
    assert "without a seed" in said(ROW, again)


@pytest.mark.parametrize(
    ("row", "again", "word"),
    [
        (ROW, FAILED, "different: it fails now: ValueError: no"),
        (FAILED, ROW, "different: it failed then: ValueError: no"),
        (FAILED, FAILED, "failed again: ValueError: no"),
    ],
)
def test_a_failure_is_told_with_its_reason(row, again, word):
    assert said(row, again).splitlines()[1] == word


def test_many_series_are_counted():
    names = [f"curve {i}" for i in range(11)]
    row = ROW | {"curves": {name: [0.0] for name in names}}
    again = ROW | {"curves": {name: [1.0] for name in names}}
    text = said(row, again)
    assert "and 3 more" in text
    assert sum("curves/" in line for line in text.splitlines()) == 8
