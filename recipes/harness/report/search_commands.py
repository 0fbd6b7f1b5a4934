"""The commands that repeat a model's search, and use what it found."""

import shlex
from typing import Any

from .search_dossier import SearchDossier

_DEFAULTS = {"tuner": "random", "trials": 10, "seeds": 1, "seed": 0}
_DEFAULT_RERUN = 3


def search_commands(dossier: SearchDossier) -> list[tuple[str, str]]:
    """Returns what each command does, and the command."""
    if dossier.target is None:
        told = [
            (
                "Search it all anew, from Python, with the same model and data",
                _python(dossier),
            )
        ]
    else:
        told = [
            (
                "Search it all anew, beside these rows",
                _command(dossier, dossier.target),
            ),
            (
                "Then write this page of the new rows",
                f"regimen report {shlex.quote(dossier.target)} "
                "--out regimen-again --to report-again",
            ),
        ]
    if dossier.search.best is not None:
        told.append(("Build the best model", _best(dossier)))
    return told


def _options(dossier: SearchDossier) -> dict[str, Any]:
    """Returns what differs from the defaults of a search, by name."""
    about, cells = dossier.about, dossier.cells
    called = about.get("called", {})
    best = dossier.search.best
    options = {
        **{n: about.get(n, d) for n, d in _DEFAULTS.items()},
        "rerun": best.reruns if best else _DEFAULT_RERUN,
        "objective": _objective(dossier),
        "median_rule": about.get("median_rule", False),
        "epochs": called.get("epochs"),
        "batch_size": called.get("batch_size"),
        "scale": cells[0]["scale"],
    }
    if not about:
        # What the journal does not say, its trials do.
        options["trials"] = len(dossier.asked)
        options["seeds"] = max(t.runs for t in dossier.search.trials)
    usual = {**_DEFAULTS, "rerun": _DEFAULT_RERUN, "scale": "cpu"}
    return {
        name: value
        for name, value in options.items()
        if value is not None and value is not False
        if value != usual.get(name)
    }


def _objective(dossier: SearchDossier) -> str | None:
    label = dossier.objective
    if label == "val_loss":
        return None
    return f"{dossier.search.direction}:{label.split()[-1]}"


def _computation(dossier: SearchDossier) -> dict[str, Any]:
    return dict(dossier.cells[0].get("computation") or {})


def _command(dossier: SearchDossier, target: str) -> str:
    words = ["regimen", "tune", target, "--data", dossier.search.data]
    for name, value in {**_options(dossier), **_computation(dossier)}.items():
        negation = "no-" if value is False else ""
        words.append(f"--{negation}{name.replace('_', '-')}")
        if not isinstance(value, bool):
            words.append(str(value))
    for name, value in dossier.fixed.items():
        words += ["--set", f"{name}={value}"]
    backend = dossier.cells[0].get("backend", "tensorflow")
    before = "" if backend == "tensorflow" else f"KERAS_BACKEND={backend} "
    return f"{before}{shlex.join(words)} --out regimen-again"


def _python(dossier: SearchDossier) -> str:
    options = {"name": dossier.name, **_options(dossier)}
    if dossier.fixed:
        options["settings"] = dossier.fixed
    told = [f"{name}={value!r}" for name, value in options.items()]
    names = "search"
    if computation := _computation(dossier):
        names = "Computation, search"
        given = ", ".join(f"{n}={v!r}" for n, v in computation.items())
        told.append(f"computation=Computation({given})")
    told.append('out="regimen-again"')
    lines = "".join(f"    {line},\n" for line in ["build", "data", *told])
    return (
        f"from keras_regimen.recipes.harness import {names}\n\n"
        f"found = search(\n{lines})"
    )


def _best(dossier: SearchDossier) -> str:
    best = dossier.search.best
    values = {**dossier.fixed, **(best.settings if best else {})}
    told = "".join(
        f"    {name!r}: {value!r},\n"
        for name, value in values.items()
        if value is not None
    )
    build = "build(hp)"
    if dossier.target is not None:
        build = f"{dossier.target.rpartition(':')[2]}().build(hp)"
    return (
        "import keras_tuner\n\n"
        "hp = keras_tuner.HyperParameters()\n"
        f"hp.values = {{\n{told}}}\nmodel = {build}"
    )
