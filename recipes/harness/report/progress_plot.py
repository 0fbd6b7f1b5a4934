"""The trials of a search in their order, and the best so far."""

import math

from markupsafe import Markup

from .axis import Axis, spanning
from .quantity import Quantity
from .search_plot import FOOT, LEFT, RIGHT, TOP, score_grid
from .searches import ArmSearch
from .svg import drawing, element, percent


def progress_plot(search: ArmSearch, told: Quantity) -> Markup | None:
    """Returns a dot a trial and a line for the best; None if none has a score.

    Args:
        search: The search of one arm.
        told: How the score is told.
    """
    scores = [trial.score for trial in search.trials]
    finite = [score for score in scores if math.isfinite(score)]
    if not finite:
        return None
    across = Axis(0.5, len(scores) + 0.5, LEFT, RIGHT)
    up = spanning(finite, FOOT, TOP, margin=0.12)
    parts = score_grid(up, told)
    for number in sorted({1, len(scores)}):
        x = percent(across.place(number))
        parts.append(
            element("text", str(number), x=x, y=FOOT + 16, class_="label")
        )
    best = math.inf
    for number, score in enumerate(scores, start=1):
        begin, end = across.place(number - 0.5), across.place(number + 0.5)
        if score < best:
            if math.isfinite(best):
                parts.append(_line(begin, begin, up.place(best), up, score))
            best = score
        if math.isfinite(best):
            parts.append(_line(begin, end, up.place(best), up, best))
    for number, score in enumerate(scores, start=1):
        if math.isfinite(score):
            title = element("title", f"trial {number}: {told.level(score)}")
            parts.append(
                element(
                    "circle",
                    title,
                    cx=percent(across.place(number)),
                    cy=up.place(score),
                    r=3.2,
                    class_="trial",
                )
            )
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
