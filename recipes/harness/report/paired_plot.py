"""The paired differences of a claim, drawn: each pair, mean, interval."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from .axis import Axis, spanning
from .quantity import quantity
from .svg import drawing, element, percent
from .words import verdict_in_words

Claim = Mapping[str, Any]

# Percentages of the width: where the seeds' names end and figures start.
_LEFT, _RIGHT = 14.0, 96.0
_TOP, _ROW, _BOTTOM = 26.0, 16.0, 44.0
_MOST_ROWS_APART = 24


def differences(claim: Claim) -> list[float]:
    """Returns one difference a seed, + for the claimed direction.

    >>> differences({"better": "lower", "arms": [
    ...     {"values": [0.25, 0.5]}, {"values": [0.75, 0.5]}]})
    [0.5, 0.0]
    """
    if len(claim.get("arms") or ()) != 2:
        return []
    treatment, baseline = (side["values"] for side in claim["arms"])
    sign = -1.0 if claim["better"] == "lower" else 1.0
    return [
        sign * (_number(t) - _number(b)) + 0.0
        for t, b in zip(treatment, baseline, strict=False)
    ]


def paired_plot(claim: Claim) -> Markup | None:
    """Returns the plot of a claim; None where there is nothing to draw.

    A row a seed, a dot at its difference, right of zero where the treatment
    was better. The band holds the differences that are too small to matter.

    Args:
        claim: One claim of a verdict row, of two arms.
    """
    pairs = differences(claim)
    smallest = claim.get("smallest_effect")
    if not pairs or smallest is None:
        return None
    axis = paired_axis(claim)
    told = quantity(claim["metric"], smallest)
    row = _ROW if len(pairs) <= _MOST_ROWS_APART else 7.0
    end = _TOP + row * len(pairs)
    interval = claim.get("low") is not None
    foot = end + (30.0 if claim.get("mean") is not None else 4.0)

    def x(value: float) -> str:
        return percent(axis.place(value))

    def line(kind: str, a: float, b: float, y1: float, y2: float) -> Markup:
        return element("line", x1=x(a), x2=x(b), y1=y1, y2=y2, class_=kind)

    parts = [
        element(
            "rect",
            x=x(-smallest),
            y=_TOP - 8,
            width=percent(axis.place(smallest) - axis.place(-smallest)),
            height=foot - _TOP + 8,
            class_="negligible",
        ),
        *_ticks(axis, foot, told),
        line("zero", 0, 0, _TOP - 8, foot),
        element(
            "text", "← worse", x=percent(_LEFT), y=12.0, class_="direction"
        ),
        element(
            "text",
            "better →",
            x=percent(_RIGHT),
            y=12.0,
            class_="direction end",
        ),
    ]
    for seed, value in enumerate(pairs):
        y = _TOP + row * (seed + 0.5)
        if row == _ROW or seed % 10 == 0:
            parts.append(_name(f"seed {seed}", y))
        if not math.isfinite(value):
            parts.append(
                element("text", "no value", x=x(0), y=y + 4, class_="missing")
            )
            continue
        parts.append(line("reach", 0, value, y, y))
        parts.append(
            element(
                "circle",
                element("title", f"seed {seed}: {told.amount(value)}"),
                cx=x(value),
                cy=y,
                r=4.0 if row == _ROW else 2.5,
                class_="pair",
            )
        )
    if claim.get("mean") is not None:
        y = end + 14
        parts.append(_name("mean", y))
        if interval:
            low, high = claim["low"], claim["high"]
            parts.append(line("interval", low, high, y, y))
            parts += [line("whisker", e, e, y - 5, y + 5) for e in (low, high)]
        parts.append(
            element("circle", cx=x(claim["mean"]), cy=y, r=5.5, class_="mean")
        )
    treatment, baseline = (side["arm"] for side in claim["arms"])
    return drawing(
        f"Paired differences: {treatment} against {baseline}",
        f"One dot a seed, {len(pairs)} in all, right of zero where "
        f"{treatment} was better. {verdict_in_words(claim)}",
        foot + _BOTTOM,
        *parts,
        element(
            "text",
            _axis_title(told),
            x=percent((_LEFT + _RIGHT) / 2),
            y=foot + 38,
            class_="axis-title",
        ),
        kind="paired",
    )


def interval_plot(claim: Claim) -> Markup | None:
    """Returns the mean and interval alone, for a line of a list."""
    smallest, mean = claim.get("smallest_effect"), claim.get("mean")
    if smallest is None or mean is None or claim.get("low") is None:
        return None
    low, high = claim["low"], claim["high"]
    reach = 1.08 * max(abs(low), abs(high), 1.5 * smallest)
    axis = Axis(-reach, reach)
    x = {
        k: percent(axis.place(v))
        for k, v in (
            ("low", low),
            ("mean", mean),
            ("high", high),
            ("zero", 0.0),
            ("band", -smallest),
        )
    }
    told = quantity(claim["metric"], smallest)
    return drawing(
        "Mean difference and plausible range",
        f"{told.amount(mean)}, from {told.figure(low)} to "
        f"{told.amount(high)}; right of zero is as claimed.",
        22,
        element(
            "rect",
            x=x["band"],
            y=2,
            width=percent(axis.place(smallest) - axis.place(-smallest)),
            height=18,
            class_="negligible",
        ),
        element("line", x1=x["zero"], x2=x["zero"], y1=2, y2=20, class_="zero"),
        element(
            "line", x1=x["low"], x2=x["high"], y1=11, y2=11, class_="interval"
        ),
        element("circle", cx=x["mean"], cy=11, r=4, class_="mean"),
        kind="small",
    )


def paired_axis(claim: Claim) -> Axis:
    """Returns the axis of `paired_plot`: zero and the band are on it."""
    smallest = claim["smallest_effect"]
    shown = [0.0, -1.2 * smallest, 1.2 * smallest, *differences(claim)]
    shown += [v for k in ("low", "high", "mean") if (v := claim.get(k))]
    return spanning(shown, _LEFT, _RIGHT, margin=0.04)


def _ticks(axis: Axis, foot: float, told: Any) -> Sequence[Markup]:
    marks = []
    for tick in axis.ticks(5):
        place = percent(axis.place(tick))
        marks.append(
            element(
                "line", x1=place, x2=place, y1=foot, y2=foot + 5, class_="tick"
            )
        )
        marks.append(
            element(
                "text", told.figure(tick), x=place, y=foot + 19, class_="label"
            )
        )
    marks.append(
        element(
            "line",
            x1=percent(_LEFT),
            x2=percent(_RIGHT),
            y1=foot,
            y2=foot,
            class_="base",
        )
    )
    return marks


def _name(text: str, y: float) -> Markup:
    return element(
        "text", text, x=percent(_LEFT - 2), y=y + 4, class_="label end"
    )


def _axis_title(told: Any) -> str:
    if told.unit:
        return f"gain in {told.unit}s (shaded: too small to matter)"
    return "gain (shaded: too small to matter)"


def _number(value: float | None) -> float:
    return math.nan if value is None else value
