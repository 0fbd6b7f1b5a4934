import io

import pytest
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from keras_regimen.recipes.harness.terminal.console import (
    Fitted,
    encodable,
    plain,
    show,
    write,
)


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


def test_what_is_fitted_knows_the_columns_that_are_left_to_it():
    told = Fitted(lambda width: Text(f"{width} columns"))
    assert plain(told, width=40) == "40 columns"
    assert plain(Padding(told, (0, 0, 0, 3)), width=40) == "   37 columns"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "0.12 ± 0.01 · ━●┃╏│┊ ▁▂▃▄▅▆▇█ x ≤ 1… é"),
        ("latin-1", "0.12 +-0.01 - =o|:|: _.-=+*%# x <=1. é"),
        ("ascii", "0.12 +-0.01 - =o|:|: _.-=+*%# x <=1. ?"),
    ],
)
def test_signs_that_an_output_lacks_are_drawn_with_others(encoding, text):
    given = "0.12 ± 0.01 · ━●┃╏│┊ ▁▂▃▄▅▆▇█ x ≤ 1… é"
    assert encodable(given, encoding) == text
    assert len(text) == len(given)


@pytest.mark.parametrize("colour", [False, True])
def test_an_output_of_ascii_alone_gets_ascii(monkeypatch, colour):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if colour:
        monkeypatch.setenv("FORCE_COLOR", "1")
    else:
        monkeypatch.delenv("FORCE_COLOR", raising=False)
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", output)
    show(Text("━●━", "bold"))
    write("±")
    output.flush()
    written = output.buffer.getvalue()
    assert written == (b"\x1b[1m=o=\x1b[0m\n~\n" if colour else b"=o=\n~\n")
