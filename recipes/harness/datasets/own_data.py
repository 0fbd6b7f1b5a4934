"""Data of the user: what the kinds of it have in common."""

import dataclasses
import functools
from typing import Any

from ..refusal import RefusalError


@dataclasses.dataclass(frozen=True)
class OwnData:
    """A user's data: a picklable function `seed -> Splits`.

    It says where the data lies and what it held when the run was planned, so
    that any worker finds it, and none serves other rows under the same name.

    Args:
        path: String. Where it lies, absolute.
        label: String. What the user calls it, without the folder.
        digest: String. What it held, in hexadecimal digits.
        sentence: String. What was found in it.
        streamed: Boolean. Whether its rows are read when they are needed.

    Call arguments:
        seed: Integer, 0 or more. It alone determines the rows.

    Returns:
        A `Splits` or a `StreamedSplits`.
    """

    path: str
    label: str
    digest: str
    sentence: str = dataclasses.field(default="", compare=False)
    streamed: bool = False

    @property
    def name(self) -> str:
        """What rows of evidence call it: a changed file is other data."""
        return f"{self.label}@{self.digest[:8]}"

    def __call__(self, seed: int) -> Any:
        try:
            found = self.current_digest()
        except OSError as error:
            raise RefusalError(
                f"{self.path} cannot be read: {error.strerror}"
            ) from error
        if found != self.digest:
            raise RefusalError(
                f"{self.path} has changed since the run was planned; give the "
                "command again"
            )
        return _last_draw(self, seed)

    def current_digest(self) -> str:
        """Returns the digest of what lies there now."""
        raise NotImplementedError

    def draw(self, seed: int) -> Any:
        """Returns the rows of a seed."""
        raise NotImplementedError


# All arms of a seed follow one another, and look at the same rows.
@functools.lru_cache(maxsize=1)
def _last_draw(source: OwnData, seed: int) -> Any:
    return source.draw(seed)
