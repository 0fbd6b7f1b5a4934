"""The table of all trials of a search."""

import math
from typing import Any

from .quantity import MISSING
from .search_dossier import SearchDossier
from .searches import Trial
from .space_view import setting

# Behind all figures, whichever way a table is sorted.
_LAST = "inf"


def trials_view(dossier: SearchDossier) -> dict[str, Any]:
    """Returns the columns, and the rows with the best one marked.

    A column is its name and whether it holds figures; a cell is its text and
    what the table is sorted by.
    """
    search, told = dossier.search, dossier.told
    hyperband = any(trial.epochs for trial in search.trials)
    several = max(trial.runs for trial in search.trials) > 1
    figures = {
        name: all(
            isinstance(t.settings[name], int | float)
            and not isinstance(t.settings[name], bool)
            for t in search.tried(name)
        )
        for name in search.names
    }

    def cells(place: int, trial: Trial) -> list[tuple[str, str]]:
        score = _key(trial.score)
        found = [
            (trial.number or str(place), str(place)),
            (told.level(trial.score), score),
        ]
        if several:
            found.append((", ".join(map(told.level, trial.scores)), score))
        word = state(trial, search.contenders)
        found.append((word, word))
        if hyperband:
            found.append((str(trial.epochs), str(trial.epochs)))
        for name, number in figures.items():
            value = trial.settings.get(name)
            if value is None:
                found.append((MISSING, _LAST))
            else:
                text = setting(value)
                found.append((text, _key(value) if number else text))
        return found

    columns = [("trial", True), ("score", True)]
    columns += [("each run", True)] if several else []
    columns += [("state", False)]
    columns += [("epochs", True)] if hyperband else []
    return {
        "columns": [*columns, *figures.items()],
        "rows": [
            {"cells": cells(place, trial), "best": trial is search.best}
            for place, trial in enumerate(search.trials, start=1)
        ],
    }


def state(trial: Trial, contenders: list[Trial]) -> str:
    """Returns what became of a trial, in a word or two."""
    if trial.failed:
        return "failed"
    if trial.ended:
        return "ended early"
    if not math.isfinite(trial.score):
        return "no score"
    if trial in contenders:
        return "finished"
    return "trained less" if trial.epochs else "unfinished"


def _key(value: float) -> str:
    return repr(value) if math.isfinite(value) else _LAST
