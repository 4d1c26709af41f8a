"""An HTTP response as a value."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pydantic


@dataclass(frozen=True)
class Response:
    """The response of an HTTP function."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, content: object, **headers: str) -> "Response":
        """Build a JSON response; the keyword `Nightshift_Run` becomes the header `Nightshift-Run`."""
        return cls(status, to_json(content), headers={k.replace("_", "-"): v for k, v in headers.items()})

    def with_headers(self, headers: Mapping[str, str]) -> "Response":
        """Return the same response with more headers."""
        return Response(self.status, self.body, self.content_type, {**self.headers, **headers})


def to_json(content: object) -> bytes:
    """Return a model, or JSON values, as compact UTF-8 JSON."""
    if isinstance(content, pydantic.BaseModel):
        return content.model_dump_json().encode()
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
