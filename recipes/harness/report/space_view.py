"""What a search could choose from, in words."""

from collections.abc import Mapping
from typing import Any

from .search_dossier import SearchDossier

Row = Mapping[str, Any]


def space_view(dossier: SearchDossier) -> list[dict[str, str]]:
    """Returns name, kind, values and condition of each hyperparameter.

    Where the rows do not say what was declared, the values that were tried
    stand in its place, and there is no kind.
    """
    if dossier.space:
        return [
            {
                "name": config["name"],
                "kind": config["kind"],
                "values": _declared(config),
                "condition": _condition(config),
            }
            for config in dossier.space
        ]
    return [
        {"name": n, "kind": "", "values": _tried(dossier, n), "condition": ""}
        for n in dossier.search.names
    ]


def setting(value: object) -> str:
    """Returns a value as it is told in a table.

    >>> setting(0.0749341), setting("sgd"), setting(64)
    ('0.07493', 'sgd', '64')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _declared(config: Row) -> str:
    if config["kind"] == "Choice":
        return ", ".join(map(setting, config["values"]))
    if config["kind"] == "Boolean":
        return "True, False"
    if config["kind"] == "Fixed":
        return setting(config["value"])
    told = f"{setting(config['min_value'])} to {setting(config['max_value'])}"
    step, sampling = config.get("step"), config.get("sampling") or "linear"
    if step and (config["kind"], step) != ("Int", 1):
        told += f" in steps of {setting(step)}"
    if sampling != "linear":
        told += f", {sampling.replace('_', ' ')} scale"
    return told


def _condition(config: Row) -> str:
    told = []
    for condition in config.get("conditions", ()):
        parent = condition["config"]
        values = parent.get("values", [parent.get("value")])
        some = " or ".join(map(setting, values))
        told.append(f"{parent['name']} is {some}")
    return " and ".join(told)


def _tried(dossier: SearchDossier, name: str) -> str:
    values = [t.settings[name] for t in dossier.search.tried(name)]
    if values and all(isinstance(value, float) for value in values):
        return f"{setting(min(values))} to {setting(max(values))} were tried"
    return ", ".join(map(setting, dict.fromkeys(values)))
