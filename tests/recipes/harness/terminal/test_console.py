import pytest
from rich.table import Table
from rich.text import Text

from keras_regimen.recipes.harness.terminal.console import plain, show


@pytest.fixture
def table():
    table = Table("word", "figure", box=None, pad_edge=False)
    table.add_row(Text("plain", "bold red"), "1")
    return table


def test_plain_text_has_neither_escape_codes_nor_trailing_spaces(table):
    assert plain(table) == "word   figure\nplain  1"


def test_lines_are_no_wider_than_asked():
    assert plain(Text("one two three"), width=8) == "one two\nthree"


def test_a_pipe_gets_plain_text(table, capsys):
    show(table)
    assert capsys.readouterr().out == "word   figure\nplain  1\n"


@pytest.mark.parametrize(("no_color", "escaped"), [("", True), ("1", False)])
def test_a_terminal_gets_colour_unless_refused(
    table, capsys, monkeypatch, no_color, escaped
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm-256color")
    show(table)
    assert ("\x1b[" in capsys.readouterr().out) is escaped
