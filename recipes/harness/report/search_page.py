"""The page of one model's search."""

import math
from collections.abc import Sequence

from .environment_view import environment_view
from .failures_view import failures_view
from .progress_plot import progress_plot
from .quantity import MISSING
from .search_commands import search_commands
from .search_dossier import SearchDossier
from .search_plot import search_plot
from .space_view import setting, space_view
from .templates import digest_of, fill, part
from .trials_view import state, trials_view
from .words import seconds


def search_page(dossier: SearchDossier, alone: bool = False) -> str:
    """Returns the page of a search as HTML, with all that it needs in it.

    Args:
        dossier: What is known of the search.
        alone: Boolean. Whether there is no index for it to lead to.
    """
    script = part("recipe.js") + "\n" + part("search.js")
    search, told, best = dossier.search, dossier.told, dossier.search.best
    return fill(
        "search.html",
        style=part("style.css") + part("plots.css"),
        script=script,
        script_digest=digest_of(script),
        page=dossier,
        alone=alone,
        figure=f"{told.noun} {told.when}".strip(),
        sentences=sentences(dossier),
        best=[
            (name, setting(value))
            for name, value in (best.settings if best else {}).items()
            if value is not None
        ],
        facts=_facts(dossier),
        space=space_view(dossier),
        fixed=[(name, setting(v)) for name, v in dossier.fixed.items()],
        how=_how(dossier),
        caption=_caption(dossier),
        progress=progress_plot(search, told),
        plots=[
            (name, plot)
            for name in search.names
            if (plot := search_plot(search, name, told)) is not None
        ],
        trials=trials_view(dossier),
        failures=failures_view(dossier.failed),
        environment=environment_view(dossier),
        commands=search_commands(dossier),
        date=max((row.get("time", "") for row in dossier.cells), default=""),
    )


def sentences(dossier: SearchDossier) -> list[str]:
    """Returns what came out: the best score, and what fresh seeds make of it.

    Args:
        dossier: What is known of the search.
    """
    told, best = dossier.told, dossier.search.best
    if best is None:
        return ["No trial succeeded."]
    count = len(dossier.search.trials)
    many = f"The best of {count} trials" if count > 1 else "The only trial"
    runs = f", the mean of {best.runs} runs" if best.runs > 1 else ""
    found = [f"{many} has a {told.noun} of {told.level(best.score)}{runs}."]
    if not best.reruns:
        return [*found, "It did not run again on fresh seeds."]
    again = f"{best.reruns} fresh seed{'s' if best.reruns > 1 else ''}"
    if not math.isfinite(best.rerun):
        return [*found, f"On {again} it failed."]
    gap = dossier.search.sign * (best.rerun - best.score)
    amount = told.amount(abs(gap))
    if amount.partition(" ")[0] == "0":
        return [*found, f"On {again} it is the same."]
    luck = ": the best of many is partly the luckiest" if gap > 0 else ""
    word = "worse" if gap > 0 else "better"
    return [
        *found,
        f"On {again} it is {told.level(best.rerun)}, {amount} {word}{luck}.",
    ]


def _facts(dossier: SearchDossier) -> list[tuple[str, str]]:
    """Returns the figures of the answer, each with its name."""
    search, about = dossier.search, dossier.about
    became = [state(trial, search.contenders) for trial in search.trials]
    planned = about.get("planned")
    count = str(len(became))
    if planned and planned != len(became):
        count += f" of {planned}"
    facts = [("trials", count), ("runs", str(len(dossier.cells)))]
    facts += [
        (word, str(became.count(word)))
        for word in ("failed", "ended early", "no score", "unfinished")
        if word in became
    ]
    spent = [row.get("cost", {}).get("cpu_seconds") for row in dossier.cells]
    cpu = math.fsum(value for value in spent if value is not None)
    return [*facts, ("all runs together", f"{seconds(cpu)} of CPU time")]


def _how(dossier: SearchDossier) -> list[tuple[str, str]]:
    """Returns how the search went about it, each with its name."""
    about, search = dossier.about, dossier.search
    told = dossier.told
    lowest = "highest" if search.direction == "max" else "lowest"
    facts = [
        ("model", dossier.target or ""),
        ("looked for", f"the {lowest} {told.noun} {told.when}".strip()),
        ("tuner", about.get("tuner", "")),
        ("seeds a trial", _seeds(about.get("seeds"))),
        ("the search's own seed", str(about.get("seed", ""))),
        ("longest training", _epochs(about.get("epochs"))),
        ("median rule", "on" if about.get("median_rule") else ""),
        ("data", search.data),
        ("scale", dossier.cells[0]["scale"]),
    ]
    return [(name, value) for name, value in facts if value]


def _caption(dossier: SearchDossier) -> str:
    """Returns what is seen in the plot by trial."""
    trials, told = dossier.search.trials, dossier.told
    figure = f"{told.noun} {told.when}".strip()
    mean = ", the mean of a trial's runs" if trials[0].runs > 1 else ""
    said = [
        f"{figure[:1].upper()}{figure[1:]}{mean}, in the order in which "
        "trials were asked for.",
        "The line is the best so far"
        + (
            " of those that trained longest."
            if len({trial.epochs for trial in trials}) > 1
            else "."
        ),
    ]
    if any(trial.ended for trial in trials):
        said.append("An empty dot was ended early, and cannot win.")
    if not all(math.isfinite(trial.score) for trial in trials):
        said.append("A cross has no score.")
    return " ".join(said)


def _seeds(count: int | None) -> str:
    return "" if count is None else str(count)


def _epochs(epochs: int | None) -> str:
    return "" if epochs is None else f"{epochs} epochs"


def summary(dossier: SearchDossier) -> Sequence[str]:
    """Returns the line of an index: trials, score, and on fresh seeds.

    Args:
        dossier: What is known of the search.
    """
    best, told = dossier.search.best, dossier.told
    return (
        f"{len(dossier.search.trials)} trials",
        told.level(best.score if best else None),
        told.level(best.rerun) if best and best.reruns else MISSING,
    )
