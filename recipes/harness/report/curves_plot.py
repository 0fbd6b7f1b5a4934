"""Learning curves: one panel a figure, one line an arm, bands over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .axis import Axis
from .band import Point
from .quantity import curve_name, quantity
from .svg import drawing, element, percent

# Lines differ in dashes as well as in colour.
DASHES = (None, "7 3", "2 2.5", "9 3 2 3", "4 4", "12 3", "1 3", "9 2 2 2 2 2")
COLOURS = 8
_LEFT, _RIGHT, _TOP, _FOOT = 15.0, 98.0, 12.0, 206.0
_LOG_FROM = 30.0  # A loss that spans more than this ratio.


@dataclass(frozen=True)
class Line:
    """The curve of one arm.

    Args:
        arm: String.
        place: Integer. Its place among the arms: colour and dashes.
        points: As `band` returns them.
        updates_per_epoch: Integer.
    """

    arm: str
    place: int
    points: Sequence[Point | None]
    updates_per_epoch: int

    def last(self) -> tuple[int, Point] | None:
        """The updates and the point where the line ends."""
        for epoch in range(len(self.points) - 1, -1, -1):
            point = self.points[epoch]
            if point is not None:
                return (epoch + 1) * self.updates_per_epoch, point
        return None


def curves_plot(name: str, lines: Sequence[Line]) -> Markup | None:
    """Returns the panel of one curve, such as `"val_error"`.

    Args:
        name: String. The curve.
        lines: One an arm.
    """
    axes = curves_axes(name, lines)
    if axes is None:
        return None
    across, up = axes
    told = quantity(f"final {name}")
    parts: list[Markup] = []
    for tick in up.ticks(5):
        y = up.place(tick)
        parts += [
            element(
                "line",
                x1=percent(_LEFT),
                x2=percent(_RIGHT),
                y1=y,
                y2=y,
                class_="grid",
            ),
            element(
                "text",
                told.level(tick).replace(".0 %", " %"),
                x=percent(_LEFT - 1.5),
                y=y + 4,
                class_="label end",
            ),
        ]
    for tick in across.ticks(4):
        parts.append(
            element(
                "text",
                f"{tick:,.0f}",
                x=percent(across.place(tick)),
                y=_FOOT + 17,
                class_="label",
            )
        )
    parts.append(_inside(lines, across, up))
    ends = [
        f"{line.arm} {told.level(end[1].middle)}"
        for line in lines
        if (end := line.last()) is not None
    ]
    return drawing(
        curve_name(name).capitalize(),
        f"Over {across.high:,.0f} updates; the lines end at {', '.join(ends)}.",
        _FOOT + 24,
        *parts,
        kind="curves",
    )


def curves_axes(name: str, lines: Sequence[Line]) -> tuple[Axis, Axis] | None:
    """Returns the axes of `curves_plot`, across and up.

    The first quarter of the updates is allowed to run off the top: it is
    higher than what follows, and would flatten it. Every line's end is in.
    """
    shown = [
        (epoch, line, point)
        for line in lines
        for epoch, point in enumerate(line.points)
        if point is not None
    ]
    if not shown:
        return None
    longest = max((e + 1) * line.updates_per_epoch for e, line, _ in shown)
    later = [
        p
        for e, line, p in shown
        if (e + 1) * line.updates_per_epoch > longest / 4
    ]
    points = later + [end[1] for line in lines if (end := line.last())]
    low, high = min(p.low for p in points), max(p.high for p in points)
    across = Axis(0.0, float(longest), _LEFT, _RIGHT)
    if name.endswith("loss") and low > 0 and high > _LOG_FROM * low:
        low = max(low, high * 1e-6)
        return across, Axis(low / 1.3, high * 1.3, _FOOT, _TOP, log=True)
    if 0 < low < 0.5 * high or 0 < low == high:
        low = 0.0
    pad = 0.1 * (high - low) or 0.5
    return across, Axis(low - (pad if low else 0.0), high + pad, _FOOT, _TOP)


def _inside(lines: Sequence[Line], across: Axis, up: Axis) -> Markup:
    """Returns lines and bands in a box that stretches and clips."""
    # A box of its own: a path takes no percentages.
    box = Axis(across.low, across.high, 0.0, 1000.0)
    tall = Axis(up.low, up.high, _FOOT - _TOP, 0.0, log=up.log)
    drawn = [
        element(
            "g",
            element("path", d=_area(line, box, tall), class_="spread"),
            element(
                "path",
                d=_path(line, box, tall),
                class_="middle",
                stroke_dasharray=DASHES[line.place % len(DASHES)],
            ),
            class_=f"arm arm-{line.place % COLOURS}",
            data_arm=line.arm,
        )
        for line in reversed(lines)
    ]
    return element(
        "svg",
        *drawn,
        x=percent(_LEFT),
        y=_TOP,
        width=percent(_RIGHT - _LEFT),
        height=_FOOT - _TOP,
        viewBox=f"0 0 1000 {_FOOT - _TOP:g}",
        preserveAspectRatio="none",
    )


def _path(line: Line, across: Axis, up: Axis) -> str:
    steps = []
    for run in _runs(line):
        steps.append(
            "M"
            + "L".join(
                _at(line, epoch, point.middle, across, up)
                for epoch, point in run
            )
        )
        if len(run) == 1:  # A dot: a line without length has a round cap.
            steps.append("h0")
    return "".join(steps)


def _area(line: Line, across: Axis, up: Axis) -> str:
    steps = []
    for run in _runs(line):
        there = [_at(line, e, p.high, across, up) for e, p in run]
        back = [_at(line, e, p.low, across, up) for e, p in reversed(run)]
        steps.append("M" + "L".join(there + back) + "Z")
    return "".join(steps)


def _runs(line: Line) -> list[list[tuple[int, Point]]]:
    """Returns the stretches of the line between its gaps."""
    runs: list[list[tuple[int, Point]]] = []
    open_run = False
    for epoch, point in enumerate(line.points):
        if point is None:
            open_run = False
        elif open_run:
            runs[-1].append((epoch, point))
        else:
            runs.append([(epoch, point)])
            open_run = True
    return runs


def _at(line: Line, epoch: int, value: float, across: Axis, up: Axis) -> str:
    x = across.place((epoch + 1) * line.updates_per_epoch)
    # Far outside is outside: browsers stumble over enormous numbers.
    floor = 2 * max(up.start, 1.0)
    if up.log and value <= 0:
        y = floor
    else:
        y = min(max(up.place(value), -floor), floor)
    return f"{x:.0f} {y if math.isfinite(y) else floor:.1f}"
