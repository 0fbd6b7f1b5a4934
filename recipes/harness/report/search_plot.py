"""The trials of a search: score against one hyperparameter."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from .axis import Axis, spanning
from .quantity import Quantity, quantity
from .searches import ArmSearch
from .svg import drawing, element, percent

LEFT, RIGHT, TOP, FOOT = 16.0, 96.0, 12.0, 112.0
# A loss that spans more than this ratio, as one does where a trial diverges.
_LOG_FROM = 30.0


def search_plot(search: ArmSearch, name: str, told: Quantity) -> Markup | None:
    """Returns a dot a trial, the best one ringed; None if there is none.

    Args:
        search: The search of one arm.
        name: String. The hyperparameter.
        told: How the score is told.
    """
    axes = search_axes(search, name, told)
    if axes is None:
        return None
    across, up = axes
    parts = score_grid(up, told)
    values = _values(search, name)
    labels = (
        [(i, _told(v)) for i, v in enumerate(values)]
        if values
        else [(t, quantity("").level(t)) for t in across.ticks(3)]
    )
    for tick, label in labels:
        parts.append(
            element(
                "text",
                label,
                x=percent(across.place(tick)),
                y=FOOT + 16,
                class_="label",
            )
        )
    best = search.best
    for trial in search.tried(name):
        if not math.isfinite(trial.score):
            continue
        value = trial.settings[name]
        x = values.index(value) if values else value
        kind = "trial ended" if trial.ended else "trial"
        parts.append(
            element(
                "circle",
                element(
                    "title",
                    f"{name} = {_told(value)}: {told.level(trial.score)}",
                ),
                cx=percent(across.place(x)),
                cy=up.place(trial.score),
                r=5.0 if trial is best else 3.2,
                class_="best" if trial is best else kind,
            )
        )
    won = (
        f"the best, {told.level(best.score)}, at "
        f"{_told(best.settings.get(name))}"
        if best
        else "none succeeded"
    )
    return drawing(
        f"{search.arm}: {name}",
        f"Score of {len(search.tried(name))} trials by {name}; {won}.",
        FOOT + 22,
        *parts,
        kind="search",
    )


def score_grid(up: Axis, told: Quantity) -> list[Markup]:
    """Returns lines across at round scores, and what they say.

    Args:
        up: The axis of the score.
        told: How the score is told.
    """
    parts: list[Markup] = []
    for tick in up.ticks(3):
        y = up.place(tick)
        ends = {"x1": percent(LEFT), "x2": percent(RIGHT)}
        label = told.level(tick).replace(".0 %", " %")
        place = {"x": percent(LEFT - 2.5), "y": y + 4}
        parts += [
            element("line", **ends, y1=y, y2=y, class_="grid"),
            element("text", label, **place, class_="label end"),
        ]
    return parts


def score_axis(scores: Sequence[float], told: Quantity) -> Axis:
    """Returns the axis of the score; by ratios where a loss spans many.

    Args:
        scores: Finite, one or more.
        told: How the score is told.
    """
    rate = told.unit == "point"
    log = not rate and 0 < _LOG_FROM * min(scores) < max(scores)
    return spanning(scores, FOOT, TOP, log=log, margin=0.12)


def search_axes(
    search: ArmSearch, name: str, told: Quantity
) -> tuple[Axis, Axis] | None:
    """Returns the axes of `search_plot`, across and up."""
    trials = search.tried(name)
    scores = [t.score for t in trials if math.isfinite(t.score)]
    if not scores:
        return None
    up = score_axis(scores, told)
    values = _values(search, name)
    if values:
        return Axis(-0.5, len(values) - 0.5, LEFT, RIGHT), up
    limits = search.ranges.get(name)
    if limits is not None and not limits.values:
        return Axis(limits.low, limits.high, LEFT, RIGHT, limits.log), up
    tried = [t.settings[name] for t in trials]
    log = min(tried) > 0 and max(tried) > 20 * min(tried)
    return spanning(tried, LEFT, RIGHT, log=log), up


def _values(search: ArmSearch, name: str) -> list:
    """Returns the choices, where they are words or counted out."""
    limits = search.ranges.get(name)
    tried = [t.settings[name] for t in search.tried(name)]
    if limits is not None and {*limits.values} >= {*tried}:
        return list(limits.values)
    if all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in tried
    ):
        return []
    return list(dict.fromkeys(tried))


def _told(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
