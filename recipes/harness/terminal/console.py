"""Printing: in colour on a terminal, as plain text in a pipe."""

import io

from rich.console import Console, RenderableType


def show(renderable: RenderableType) -> None:
    """Prints to the output stream; plainly also where NO_COLOR is set."""
    console = Console()
    if console.is_terminal and not console.no_color:
        console.print(renderable)
    else:
        print(plain(renderable, console.width if console.is_terminal else 80))


def plain(renderable: RenderableType, width: int = 80) -> str:
    """Returns plain text without escape codes and trailing spaces.

    >>> plain("[bold]word[/bold]   ")
    'word'
    """
    text = io.StringIO()
    console = Console(
        file=text, width=width, color_system=None, legacy_windows=False
    )
    console.print(renderable)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
