"""One line of `regimen doctor`."""

from dataclasses import asdict, dataclass
from typing import Any

STATES = ("ok", "warning", "problem")


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Args:
        check: String. What was looked at.
        state: `"ok"`, `"warning"` (works, but not as it should) or
            `"problem"` (does not work, or gives other numbers).
        what: String. What was found.
        remedy: String. What to do; empty where there is nothing to do.
    """

    check: str
    state: str
    what: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
