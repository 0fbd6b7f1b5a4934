"""Figures against the tolerance that a claim allows, one dot a run."""

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from .axis import Axis, spanning
from .quantity import quantity
from .svg import drawing, element, percent
from .words import verdict_in_words

# Percentages of the width: where the arms' names end and figures start.
_LEFT, _RIGHT = 22.0, 94.0
_TOP, _ROW = 22.0, 30.0


def tolerance_plot(claim: Mapping[str, Any]) -> Markup | None:
    """Returns the plot of an exact claim; None where there is no figure.

    A row an arm, a dot a run; what the claim allows is shaded. The axis is
    logarithmic where all figures are positive.

    Args:
        claim: One claim of a verdict row, with `at_most`.
    """
    at_most = claim.get("at_most")
    sides = claim.get("arms") or ()
    values = [v for side in sides for v in side["values"]]
    if at_most is None or not any(map(_finite, values)):
        return None
    axis = tolerance_axis(claim)
    told = quantity(claim["metric"])
    foot = _TOP + _ROW * len(sides)
    limit = axis.place(at_most)
    parts = [
        element(
            "rect",
            x=percent(_LEFT),
            y=_TOP - 6,
            width=percent(limit - _LEFT),
            height=foot - _TOP + 6,
            class_="negligible",
        ),
        element(
            "line",
            x1=percent(limit),
            x2=percent(limit),
            y1=_TOP - 6,
            y2=foot,
            class_="limit",
        ),
        element(
            "text",
            f"allowed: {told.level(at_most)}",
            x=percent(limit),
            y=11.0,
            class_="direction end",
        ),
        element(
            "line",
            x1=percent(_LEFT),
            x2=percent(_RIGHT),
            y1=foot,
            y2=foot,
            class_="base",
        ),
    ]
    for tick in axis.ticks(4):
        place = percent(axis.place(tick))
        parts += [
            element(
                "line", x1=place, x2=place, y1=foot, y2=foot + 5, class_="tick"
            ),
            element(
                "text", told.level(tick), x=place, y=foot + 20, class_="label"
            ),
        ]
    for i, side in enumerate(sides):
        y = _TOP + _ROW * (i + 0.5)
        parts.append(
            element(
                "text",
                side["arm"],
                x=percent(_LEFT - 2),
                y=y + 4,
                class_="label end",
            )
        )
        parts += [
            element(
                "circle",
                element("title", f"seed {seed}: {told.level(value)}"),
                cx=percent(axis.place(value)),
                cy=y,
                r=4.0,
                class_="pair",
            )
            for seed, value in enumerate(side["values"])
            if _finite(value)
        ]
    return drawing(
        f"{told.noun}: every run against the tolerance",
        verdict_in_words(claim),
        foot + 28,
        *parts,
        kind="tolerance",
    )


def tolerance_axis(claim: Mapping[str, Any]) -> Axis:
    """Returns the axis of `tolerance_plot`; the tolerance is on it."""
    shown = [
        value
        for side in claim["arms"]
        for value in side["values"]
        if _finite(value)
    ]
    shown.append(claim["at_most"])
    return spanning(shown, _LEFT, _RIGHT, log=min(shown) > 0, margin=0.08)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
