"""Elements of SVG as safe markup, and what makes a drawing accessible.

Places along the width are percentages, so that a drawing fills whatever
column it stands in while its letters keep their size. Colours and letters
come from the style sheet of the page around it.
"""

from typing import Any

from markupsafe import Markup, escape


def element(name: str, *children: object, **attributes: Any) -> Markup:
    """Returns one element; text and attributes are escaped.

    Args:
        name: String. The element's name.
        *children: Markup, or anything whose text is escaped.
        **attributes: Attributes by name, `_` for `-`, and `class_` for
            `class`. Those that are None are left out; a float is written
            with two digits, which is a fiftieth of a pixel.

    Example:

    >>> print(element("text", "a < b", x=1 / 3, class_="tick", id=None))
    <text x="0.33" class="tick">a &lt; b</text>
    """
    told = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _short(v))
        for key, v in attributes.items()
        if v is not None
    )
    inside = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, told, inside)


def drawing(
    title: str, description: str, height: float, *children: object, kind: str
) -> Markup:
    """Returns a whole drawing, as wide as its column.

    Args:
        title: String. What it is, in a few words.
        description: String. What it shows, for whoever cannot see it.
        height: Float. Pixels.
        *children: What is in it.
        kind: String. A class for the style sheet.
    """
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *children,
        class_=f"plot {kind}",
        role="img",
        width="100%",
        height=height,
        aria_label=f"{title}. {description}",
    )


def percent(place: float) -> str:
    """Returns a place along the width.

    >>> percent(100 / 3)
    '33.33%'
    """
    return f"{_short(place)}%"


def _short(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
