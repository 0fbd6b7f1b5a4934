"""Printing: in colour on a terminal, as plain text in a pipe."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

# What stands for a sign that an output cannot encode; as wide as the sign, so
# that columns stay columns.
_ASCII = str.maketrans("·±≤…━●│┃┊╏▁▂▃▄▅▆▇█", "-~<.=o||::_.-=+*%#")
# A terminal's width is its user's business; a pipe's lines should not depend
# on the window that they were made in.
_PIPE_WIDTH = 80


@dataclass(frozen=True)
class Fitted:
    """What looks different on screens of different widths.

    Args:
        draw: Function from the columns that there are to what is shown.
    """

    draw: Callable[[int], RenderableType]

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        yield self.draw(options.max_width)


def show(renderable: RenderableType) -> None:
    """Prints to the output stream; plainly also where NO_COLOR is set."""
    console = Console()
    width = console.width if console.is_terminal else _PIPE_WIDTH
    colours = None if console.no_color else console.color_system
    write(_drawn(renderable, width, colours))


def write(text: str) -> None:
    """Prints text, whatever signs the output stream can encode.

    >>> write("0.12 ± 0.01")
    0.12 ± 0.01
    """
    print(encodable(text, getattr(sys.stdout, "encoding", None) or "utf-8"))


def encodable(text: str, encoding: str) -> str:
    """Returns text that an encoding holds, in lines of the same length.

    >>> encodable("0.12 ± 0.01 · ━━●━━", "ascii")
    '0.12 +-0.01 - ==o=='
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        told = text.replace("± ", "+-").replace("≤ ", "<=").translate(_ASCII)
        return told.encode(encoding, "replace").decode(encoding)
    return text


def plain(renderable: RenderableType, width: int = _PIPE_WIDTH) -> str:
    """Returns plain text without escape codes and trailing spaces.

    >>> plain("[bold]word[/bold]   ")
    'word'
    """
    return _drawn(renderable, width, colours=None)


def _drawn(renderable: RenderableType, width: int, colours: str | None) -> str:
    text = io.StringIO()
    console = Console(
        file=text,
        width=width,
        force_terminal=colours is not None,
        color_system=colours,  # type: ignore[arg-type]
        legacy_windows=False,
    )
    console.print(renderable)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
