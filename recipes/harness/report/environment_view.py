"""What a recipe ran on: versions, device, code, data."""

from .dossier import Dossier
from .search_dossier import SearchDossier


def environment_view(dossier: Dossier | SearchDossier) -> list[tuple[str, str]]:
    cells = dossier.cells
    if not cells:
        return []

    def told(*values: object) -> str:
        return ", ".join(sorted({str(v) for v in values if v is not None}))

    facts = [
        (name, told(*(r.get("versions", {}).get(name) for r in cells)))
        for name in sorted({n for r in cells for n in r.get("versions", {})})
    ]
    times = sorted(r["time"] for r in cells if r.get("time"))
    facts += [
        ("backend", told(*(r.get("backend") for r in cells))),
        ("device", told(*(r.get("device") for r in cells))),
        ("threads a run", told(*(r.get("threads") for r in cells))),
        ("protocol", told(*(r.get("protocol") for r in cells))),
        ("code", told(*(r["code"] for r in cells))),
        ("scale", told(*(r["scale"] for r in cells))),
    ]
    if times:
        first, last = times[0], times[-1]
        facts.append(("runs", first if first == last else f"{first} to {last}"))
    for condition in dossier.conditions:
        mine = [r for r in cells if r["data"] == condition]
        sources = told(*(r.get("source") for r in mine))
        if sources:
            items = next(r["items"] for r in mine if r.get("items"))
            rows = ", ".join(f"{n:,} {part}" for part, n in items.items())
            facts.append(
                (f"data {condition}".strip(), f"{sources}: {rows} rows")
            )
        prints = {
            r["seed"]: r["fingerprint"][:12]
            for r in mine
            if r.get("fingerprint")
        }
        if prints:
            facts.append(
                (
                    f"fingerprints {condition}".strip(),
                    ", ".join(dict.fromkeys(prints[s] for s in sorted(prints))),
                )
            )
    return [(name, value) for name, value in facts if value]
