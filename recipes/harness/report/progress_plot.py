"""The trials of a search in their order, and the best so far."""

import math

from markupsafe import Markup

from .axis import Axis
from .quantity import TIMES, Quantity
from .search_plot import FOOT, LEFT, RIGHT, score_axis, score_grid
from .searches import ArmSearch
from .svg import drawing, element, percent


def progress_plot(search: ArmSearch, told: Quantity) -> Markup | None:
    """Returns a dot a trial and a line for the best; None if none has a score.

    A trial without a score has a cross at the foot, and one that was ended an
    empty dot; the line passes over what cannot win.

    Args:
        search: The search of one arm.
        told: How the score is told.
    """
    scores = [trial.score for trial in search.trials]
    finite = [score for score in scores if math.isfinite(score)]
    if not finite:
        return None
    across = Axis(0.5, len(scores) + 0.5, LEFT, RIGHT)
    up = score_axis(finite, told)
    parts = score_grid(up, told)
    for number in sorted({1, len(scores)}):
        label = search.trials[number - 1].number or str(number)
        x = percent(across.place(number))
        parts.append(element("text", label, x=x, y=FOOT + 16, class_="label"))
    contenders = search.contenders
    best = None
    for number, trial in enumerate(search.trials, start=1):
        begin, end = across.place(number - 0.5), across.place(number + 0.5)
        score = trial.score
        if trial in contenders and (
            best is None or search.sign * score < search.sign * best
        ):
            if best is not None:
                parts.append(_line(begin, begin, up.place(best), up, score))
            best = score
        if best is not None:
            parts.append(_line(begin, end, up.place(best), up, best))
    for number, trial in enumerate(search.trials, start=1):
        x = percent(across.place(number))
        name = f"trial {trial.number or number}"
        if math.isfinite(trial.score):
            parts.append(
                element(
                    "circle",
                    element("title", f"{name}: {told.level(trial.score)}"),
                    cx=x,
                    cy=up.place(trial.score),
                    r=3.2,
                    class_="trial ended" if trial.ended else "trial",
                )
            )
        else:
            title = element("title", f"{name}: no score")
            place = {"x": x, "y": FOOT - 2, "class_": "missing"}
            parts.append(element("text", TIMES, title, **place))
    return drawing(
        f"{search.arm}: score by trial",
        f"Score of {len(scores)} trials in their order; the best so far ends "
        f"at {told.level(best)}.",
        FOOT + 22,
        *parts,
        kind="search",
    )


def _line(begin: float, end: float, y: float, up: Axis, to: float) -> Markup:
    return element(
        "line",
        x1=percent(begin),
        x2=percent(end),
        y1=y,
        y2=up.place(to),
        class_="so-far",
    )
