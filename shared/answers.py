"""What an HTTP function answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """What an HTTP function answers: status, body and headers."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, content: object, **headers: str) -> "Answer":
        """Return `content` as JSON; `Nightshift_Run` becomes the header `Nightshift-Run`."""
        return cls(status, to_json(content), headers={k.replace("_", "-"): v for k, v in headers.items()})

    def with_headers(self, headers: Mapping[str, str]) -> "Answer":
        """Return the same answer with more headers."""
        return Answer(self.status, self.body, self.content_type, {**self.headers, **headers})


def to_json(content: object) -> bytes:
    """Return `content` as compact UTF-8 JSON."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
