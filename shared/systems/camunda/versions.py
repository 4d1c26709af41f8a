"""The version of an engine, as `GET /version` returns it, and its features."""

import re
from dataclasses import dataclass
from typing import Literal, Self

Feature = Literal["dueDate", "dates", "acquired"]
"""A due date together with retries, dates in a query, and the filter `acquired`."""

_CAMUNDA = 7
_SINCE: dict[Feature, int] = {"dueDate": 19, "dates": 19, "acquired": 24}
_FORK_SINCE: dict[Feature, int] = {"dueDate": 1, "dates": 1, "acquired": 2}


@dataclass(frozen=True, order=True)
class Version:
    """An engine's version. Camunda's own are 7.x; the forks count from 1.0, which is newer than Camunda 7.19."""

    major: int
    minor: int
    patch: int = 0

    def __str__(self) -> str:
        """Return it in the engine's notation."""
        return f"{self.major}.{self.minor}.{self.patch}"

    @classmethod
    def read(cls, text: object) -> Self | None:
        """Return the version in a text such as `7.24.0`, `7.24.0-SNAPSHOT` or `1.0.3`; None if it has none."""
        shape = r"([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?(?:[-+][0-9A-Za-z.+-]{1,64})?"
        found = re.fullmatch(shape, text) if isinstance(text, str) else None
        return cls(int(found[1]), int(found[2]), int(found[3] or 0)) if found else None

    def has(self, feature: Feature) -> bool:
        """Return whether such an engine has a feature; an unknown one has none."""
        if self.major == _CAMUNDA:
            return self.minor >= _SINCE[feature]
        return _FORK_SINCE[feature] <= self.major < _CAMUNDA
